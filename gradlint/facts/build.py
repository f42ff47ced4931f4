"""The single pass over the syntax tree: a file's text becomes its `Program`."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import EllipsisType
from typing import Any

from gradlint.errors import SourceError
from gradlint.facts import code, positions
from gradlint.facts.code import Expr, Span, Stmt

LADDER = 100
"""Arms of `if … elif …` that are told apart by their tests."""
TEXT = 400
"""Characters of a string that is kept; nothing is known of a longer one."""


def build(text: str, path: str) -> code.Program:
    """Lower every statement of a file. Raises SourceError with line and column where the text is not Python."""
    tree = parse(text, path)
    lowered = lower(tree.body, positions.Lines(text, split_lines(text)), path)
    return code.Program(path, [statement for statements in lowered for statement in statements])


def parse(text: str, path: str) -> ast.Module:
    """`ast.parse` whose failures are SourceErrors; every warning of the user's literals is silenced."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        column = (error.offset or 1) if error.lineno else 1
        raise SourceError(error.msg, path=path, line=error.lineno or 1, column=max(column, 1)) from None
    except (RecursionError, MemoryError):
        raise SourceError("nested too deeply to be parsed", path=path) from None
    except ValueError as error:
        raise SourceError(str(error), path=path) from None


def split_lines(text: str) -> list[str]:
    """Lines as the tokenizer counts them: a form feed ends none."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def lower(run: Sequence[ast.stmt], lines: positions.Lines, path: str) -> list[list[Stmt]]:
    """Lower top-level statements, each by itself."""
    lowering = _Lowering(lines)
    try:
        return [lowering.one(node) for node in run]
    except RecursionError:
        raise SourceError("nested too deeply to be parsed", path=path, line=run[0].lineno) from None


class _Lowering:
    """Walks statements and expressions; what stands inside an f-string has the span of the whole string, since older
    interpreters misplace it.
    """

    def __init__(self, lines: positions.Lines) -> None:
        self._lines = lines
        self._string: Span | None = None

    def block(self, body: Iterable[ast.stmt]) -> list[Stmt]:
        return [made for node in body for made in self.one(node)]

    def one(self, node: ast.stmt) -> list[Stmt]:
        method = _STATEMENTS.get(type(node))
        return method(self, node) if method is not None else []

    def span(self, node: ast.AST) -> Span:
        return self._string if self._string is not None else self._lines.span(node)

    # Expressions

    def expr(self, node: ast.expr) -> Expr:
        method = _EXPRESSIONS.get(type(node))
        return method(self, node) if method is not None else code.Other(type(node).__name__, [])

    def optional(self, node: ast.expr | None) -> Expr | None:
        return None if node is None else self.expr(node)

    def every(self, nodes: Iterable[ast.expr]) -> list[Expr]:
        return [self.expr(node) for node in nodes]

    def name(self, node: ast.Name) -> Expr:
        return code.Name(node.id, self.span(node))

    def constant(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, (bytes, EllipsisType)) or (isinstance(value, str) and len(value) > TEXT):
            return code.Other("ellipsis" if value is ... else "string", [])
        return code.Literal(None if isinstance(value, complex) else value, self.span(node))

    def formatted(self, node: ast.JoinedStr) -> Expr:
        outer, self._string = self._string, self.span(node)
        plain = all(_plain_piece(piece) for piece in node.values)
        parts = [self._piece(piece) for piece in node.values if plain or isinstance(piece, ast.FormattedValue)]
        self._string = outer
        return code.Other("text" if plain else "string", parts)

    def _piece(self, piece: ast.expr) -> Expr:
        return self.expr(piece.value) if isinstance(piece, ast.FormattedValue) else self.expr(piece)

    def attribute(self, node: ast.Attribute) -> Expr:
        return code.Attribute(self.expr(node.value), node.attr, self.span(node))

    def call(self, node: ast.Call) -> Expr:
        func = self.expr(node.func)
        given: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
        if node.keywords and node.args:
            given.sort(key=lambda part: (part.lineno, part.col_offset))
        return code.Call(func, [self.argument(part) for part in given], self.span(node))

    def argument(self, node: ast.expr | ast.keyword) -> code.Argument:
        if isinstance(node, ast.keyword):
            value = self.expr(node.value)
            return code.Argument(node.arg, value, "" if node.arg else "**", self.span(node))
        if isinstance(node, ast.Starred):
            return code.Argument(None, self.expr(node.value), "*", None)
        return code.Argument(None, self.expr(node), "", None)

    def subscript(self, node: ast.Subscript) -> Expr:
        base = self.expr(node.value)
        # `x[a, b]` and `x[(a, b)]` are the same to Python; `x[()]` has one index, the empty tuple.
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) and node.slice.elts else [node.slice]
        return code.Subscript(base, self.every(index), self.span(node))

    def slice(self, node: ast.Slice) -> Expr:
        return code.Slice(self.optional(node.lower), self.optional(node.upper), self.optional(node.step))

    def binary(self, node: ast.BinOp) -> Expr:
        # A long sum is a deep left spine: descend it in a loop.
        chain = [node]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
        left = self.expr(chain[-1].left)
        for link in reversed(chain):
            left = code.Binary(_OPERATORS[type(link.op).__name__], left, self.expr(link.right), self.span(link))
        return left

    def unary(self, node: ast.UnaryOp) -> Expr:
        value = self.expr(node.operand)
        op = _OPERATORS[type(node.op).__name__]
        if op == "-" and isinstance(value, code.Literal) and type(value.value) in (int, float):
            return code.Literal(-value.value, value.at)  # type: ignore[operator]
        return code.Unary(op, value)

    def compare(self, node: ast.Compare) -> Expr:
        left = self.expr(node.left)
        pairs = zip(node.ops, node.comparators, strict=True)
        return code.Compare(left, [(_OPERATORS[type(op).__name__], self.expr(right)) for op, right in pairs])

    def logic(self, node: ast.BoolOp) -> Expr:
        values = list(node.values)
        while isinstance(values[0], ast.BoolOp) and type(values[0].op) is type(node.op):
            values[:1] = values[0].values
        return code.Logic(_OPERATORS[type(node.op).__name__], self.every(values))

    def conditional(self, node: ast.IfExp) -> Expr:
        return code.Conditional(self.expr(node.test), self.expr(node.body), self.expr(node.orelse))

    def display(self, node: ast.Tuple | ast.List | ast.Set) -> Expr:
        kind = type(node).__name__.lower()
        return code.Sequence(kind, self.every(node.elts), self.span(node) if kind == "list" else None)

    def mapping(self, node: ast.Dict) -> Expr:
        pairs = zip(node.keys, node.values, strict=True)
        return code.DictDisplay([(self.optional(key), self.expr(value)) for key, value in pairs])

    def comprehension(self, node: Any) -> Expr:
        key = self.expr(node.key) if isinstance(node, ast.DictComp) else None
        element = self.expr(node.value if isinstance(node, ast.DictComp) else node.elt)
        generators = [
            code.Generator(self.expr(part.target), self.expr(part.iter), self.every(part.ifs))
            for part in node.generators
        ]
        return code.Comprehension(_COMPREHENSIONS[type(node)], key, element, generators, self.span(node))

    def function(self, node: ast.Lambda) -> Expr:
        return code.Lambda(self.parameters(node.args), self.expr(node.body), self.span(node))

    def walrus(self, node: ast.NamedExpr) -> Expr:
        return code.Walrus(node.target.id, self.expr(node.value))

    def awaited(self, node: ast.Await) -> Expr:
        return self.expr(node.value)

    def yielded(self, node: ast.Yield | ast.YieldFrom) -> Expr:
        kind = "yield" if isinstance(node, ast.Yield) else "yield from"
        return code.Other(kind, [] if node.value is None else [self.expr(node.value)])

    def starred(self, node: ast.Starred) -> Expr:
        return code.Star(self.expr(node.value))

    def parameters(self, node: ast.arguments) -> list[code.Parameter]:
        def one(arg: ast.arg, default: ast.expr | None, star: str, keyword_only: bool) -> code.Parameter:
            annotation = self.optional(arg.annotation)
            return code.Parameter(arg.arg, self.optional(default), annotation, star, keyword_only)

        plain = [*node.posonlyargs, *node.args]
        defaults = [*[None] * (len(plain) - len(node.defaults)), *node.defaults]
        result = [one(arg, default, "", False) for arg, default in zip(plain, defaults, strict=True)]
        if node.vararg is not None:
            result.append(one(node.vararg, None, "*", False))
        pairs = zip(node.kwonlyargs, node.kw_defaults, strict=True)
        result.extend(one(arg, default, "", True) for arg, default in pairs)
        if node.kwarg is not None:
            result.append(one(node.kwarg, None, "**", False))
        return result

    # Statements

    def evaluate(self, node: ast.Expr) -> list[Stmt]:
        value = self.expr(node.value)
        idle = isinstance(value, code.Literal) or (
            isinstance(value, code.Other) and not value.parts and not value.kind.startswith("yield")
        )
        return [] if idle else [code.Evaluate(value, self.span(node))]

    def assign(self, node: ast.Assign) -> list[Stmt]:
        return [code.Assign(self.every(node.targets), self.expr(node.value), self.span(node))]

    def annotated(self, node: ast.AnnAssign) -> list[Stmt]:
        target, annotation = self.expr(node.target), self.expr(node.annotation)
        return [code.Annotated(target, annotation, self.optional(node.value), self.span(node))]

    def augmented(self, node: ast.AugAssign) -> list[Stmt]:
        op = _OPERATORS[type(node.op).__name__]
        return [code.Augmented(self.expr(node.target), op, self.expr(node.value), self.span(node))]

    def branch(self, node: ast.If) -> list[Stmt]:
        # An elif ladder is a right spine: unroll it, so that a thousand arms need no thousand frames. A long one is
        # read as a choice between its arms that no test decides.
        ladder: list[tuple[Expr, list[Stmt], Span]] = []
        while True:
            ladder.append((self.expr(node.test), self.block(node.body), self._lines.header(node)))
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
        rest = self.block(node.orelse)
        if len(ladder) > LADDER:
            tests = code.Other("tests", [test for test, _, _ in ladder])
            return [code.Match(tests, [*(body for _, body, _ in ladder), rest], ladder[0][2])]
        for test, body, at in reversed(ladder):
            rest = [code.If(test, body, rest, at)]
        return rest

    def loop(self, node: Any) -> list[Stmt]:
        target, iterable = self.expr(node.target), self.expr(node.iter)
        return [code.For(target, iterable, self.block(node.body), self.block(node.orelse), self._lines.header(node))]

    def repeat(self, node: ast.While) -> list[Stmt]:
        test = self.expr(node.test)
        return [code.While(test, self.block(node.body), self.block(node.orelse), self._lines.header(node))]

    def within(self, node: Any) -> list[Stmt]:
        items = [(self.expr(item.context_expr), self.optional(item.optional_vars)) for item in node.items]
        return [code.With(items, self.block(node.body), self._lines.header(node))]

    def attempt(self, node: Any) -> list[Stmt]:
        body, handlers = self.block(node.body), [self.block(handler.body) for handler in node.handlers]
        return [code.Try(body, handlers, self.block(node.orelse), self.block(node.finalbody), self._lines.header(node))]

    def match(self, node: ast.Match) -> list[Stmt]:
        cases = [self.block(case.body) for case in node.cases]
        return [code.Match(self.expr(node.subject), cases, self._lines.header(node))]

    def define(self, node: Any) -> list[Stmt]:
        decorators, parameters = self.every(node.decorator_list), self.parameters(node.args)
        return [code.Function(node.name, parameters, decorators, self.block(node.body), self._lines.header(node))]

    def define_class(self, node: ast.ClassDef) -> list[Stmt]:
        decorators = self.every(node.decorator_list)
        bases = [self.expr(base.value if isinstance(base, ast.Starred) else base) for base in node.bases]
        kinds = [self.expr(keyword.value) for keyword in node.keywords if keyword.arg == "metaclass"]
        kind = next((v.name if isinstance(v, (code.Name, code.Attribute)) else "?" for v in kinds), "")
        bases.extend(self.expr(keyword.value) for keyword in node.keywords if keyword.arg is None)
        return [code.Class(node.name, bases, decorators, self.block(node.body), self._lines.header(node), kind)]

    def give_back(self, node: ast.Return) -> list[Stmt]:
        return [code.Return(self.optional(node.value), self.span(node))]

    def jump(self, node: ast.Raise | ast.Break | ast.Continue) -> list[Stmt]:
        value = self.optional(node.exc) if isinstance(node, ast.Raise) else None
        return [code.Jump(type(node).__name__.lower(), value, self.span(node))]

    def delete(self, node: ast.Delete) -> list[Stmt]:
        first = node.targets[0]
        alone = len(node.targets) == 1 and isinstance(first, (ast.Tuple, ast.List))
        return [code.Delete(self.every(first.elts if alone else node.targets), self.span(node))]  # type: ignore[attr-defined]

    def check(self, node: ast.Assert) -> list[Stmt]:
        return [code.Assert(self.expr(node.test), self.span(node))]

    def bring(self, node: ast.Import) -> list[Stmt]:
        return [code.Import([(alias.name, alias.asname) for alias in node.names], self.span(node))]

    def bring_from(self, node: ast.ImportFrom) -> list[Stmt]:
        names = [(alias.name, alias.asname) for alias in node.names]
        spans = [self._imported(alias) for alias in node.names]
        return [code.ImportFrom(node.module or "", node.level, names, self.span(node), spans)]

    def _imported(self, alias: ast.alias) -> Span:
        line, column, _, _ = self.span(alias)
        return (line, column, line, column + len(alias.name))

    def scoped(self, node: ast.Global | ast.Nonlocal) -> list[Stmt]:
        return [code.Scoped(type(node).__name__.lower(), list(node.names), self.span(node))]


def _plain_piece(piece: ast.expr) -> bool:
    """Whether a piece of an f-string is text, or an expression without format or conversion."""
    return isinstance(piece, ast.Constant) or (
        isinstance(piece, ast.FormattedValue) and piece.format_spec is None and piece.conversion == -1
    )


_COMPREHENSIONS: dict[type, str] = {
    ast.ListComp: "list", ast.SetComp: "set", ast.GeneratorExp: "generator", ast.DictComp: "dict",
}  # fmt: skip
_OPERATORS = {
    "Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**", "MatMult": "@",
    "BitAnd": "&", "BitOr": "|", "BitXor": "^", "LShift": "<<", "RShift": ">>", "USub": "-", "UAdd": "+", "Not": "not",
    "Invert": "~", "Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Is": "is",
    "IsNot": "is not", "In": "in", "NotIn": "not in", "And": "and", "Or": "or",
}  # fmt: skip
_EXPRESSIONS: dict[type, Callable[[_Lowering, Any], Expr]] = {
    ast.Name: _Lowering.name, ast.Constant: _Lowering.constant, ast.JoinedStr: _Lowering.formatted,
    ast.Attribute: _Lowering.attribute, ast.Call: _Lowering.call, ast.Subscript: _Lowering.subscript,
    ast.Slice: _Lowering.slice, ast.BinOp: _Lowering.binary, ast.UnaryOp: _Lowering.unary,
    ast.Compare: _Lowering.compare, ast.BoolOp: _Lowering.logic, ast.IfExp: _Lowering.conditional,
    ast.Tuple: _Lowering.display, ast.List: _Lowering.display, ast.Set: _Lowering.display, ast.Dict: _Lowering.mapping,
    ast.ListComp: _Lowering.comprehension, ast.SetComp: _Lowering.comprehension,
    ast.GeneratorExp: _Lowering.comprehension, ast.DictComp: _Lowering.comprehension, ast.Lambda: _Lowering.function,
    ast.NamedExpr: _Lowering.walrus, ast.Await: _Lowering.awaited, ast.Yield: _Lowering.yielded,
    ast.YieldFrom: _Lowering.yielded, ast.Starred: _Lowering.starred,
}  # fmt: skip
_STATEMENTS: dict[type, Callable[[_Lowering, Any], list[Stmt]]] = {
    ast.Expr: _Lowering.evaluate, ast.Assign: _Lowering.assign, ast.AnnAssign: _Lowering.annotated,
    ast.AugAssign: _Lowering.augmented, ast.If: _Lowering.branch, ast.For: _Lowering.loop, ast.AsyncFor: _Lowering.loop,
    ast.While: _Lowering.repeat, ast.With: _Lowering.within, ast.AsyncWith: _Lowering.within,
    ast.Try: _Lowering.attempt, getattr(ast, "TryStar", ast.Try): _Lowering.attempt, ast.Match: _Lowering.match,
    ast.FunctionDef: _Lowering.define, ast.AsyncFunctionDef: _Lowering.define, ast.ClassDef: _Lowering.define_class,
    ast.Return: _Lowering.give_back, ast.Break: _Lowering.jump, ast.Continue: _Lowering.jump,
    ast.Raise: _Lowering.jump, ast.Delete: _Lowering.delete, ast.Assert: _Lowering.check, ast.Import: _Lowering.bring,
    ast.ImportFrom: _Lowering.bring_from, ast.Global: _Lowering.scoped, ast.Nonlocal: _Lowering.scoped,
}  # fmt: skip
