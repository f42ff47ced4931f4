"""The single pass over the CST: a file's text becomes its `Program`.

`ast` reads the whole file first (a tenth of LibCST's cost): it names syntax errors, gives positions and decides which
top-level statements can matter; LibCST then parses only runs of those, so a large library file costs little.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import libcst as cst

from gradlint.errors import SourceError
from gradlint.facts import code, positions
from gradlint.facts.code import Expr, Span, Stmt

LADDER = 100
"""Arms of `if … elif …` that are told apart by their tests."""


def build(text: str, path: str) -> code.Program:
    """Lower every statement of a file. Raises SourceError with line and column where the text is not Python."""
    tree = parse(text, path)
    lines = split_lines(text)
    lowered = lower(tree.body, lines, positions.Lines(text, lines), path) if tree.body else []
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


def first_line(node: ast.stmt) -> int:
    """Where a statement begins, decorators included."""
    decorators = getattr(node, "decorator_list", None)
    return min(node.lineno, decorators[0].lineno) if decorators else node.lineno


def lower(run: Sequence[ast.stmt], split: list[str], lines: positions.Lines, path: str) -> list[list[Stmt]]:
    """Parse neighbouring top-level statements with LibCST and lower each."""
    first, last = first_line(run[0]), run[-1].end_lineno or run[-1].lineno
    try:
        module = cst.parse_module("\n".join(split[first - 1 : last]) + "\n")
    except cst.ParserSyntaxError as error:
        raise SourceError(
            error.message, path=path, line=first + error.raw_line - 1, column=error.raw_column + 1
        ) from None
    except RecursionError:
        raise SourceError("nested too deeply to be parsed", path=path, line=first) from None
    statements = _small(module.body)
    # A line may hold statements beside those of the run: they are told apart by their order on it.
    skip = sum(1 for _ in statements) - len(run)
    if skip > 0:
        statements = statements[_before(run[0], lines) :][: len(run)]
    lowering = _Lowering(lines)
    return [lowering.one(node, twin) for node, twin in zip(statements, run, strict=True)]


def imported(node: ast.Import | ast.ImportFrom, lines: positions.Lines) -> Stmt:
    """An import, of which `ast` tells everything."""
    names = [(alias.name, alias.asname) for alias in node.names]
    if isinstance(node, ast.Import):
        return code.Import(names, lines.span(node))
    starts = [lines.span(alias)[:2] for alias in node.names]
    spans = [(line, column, line, column + len(name)) for (line, column), (name, _) in zip(starts, names, strict=True)]
    return code.ImportFrom(node.module or "", node.level, names, lines.span(node), spans)


def _small(body: Sequence[Any]) -> list[Any]:
    return [small for line in body for small in (line.body if type(line) is cst.SimpleStatementLine else (line,))]


def _before(node: ast.stmt, lines: positions.Lines) -> int:
    """How many statements stand before `node` on its line."""
    text = lines.text_lines[node.lineno - 1].encode()[: node.col_offset].decode(errors="replace")
    return len(_small(cst.parse_module(text).body)) if text.strip() else 0


class _Lowering:
    """Walks CST and `ast` statements in step; expressions take their spans from the statement's list."""

    def __init__(self, lines: positions.Lines) -> None:
        self._lines = lines
        self._spans: list[Span] = []
        self._next = 0
        self._fallback: Span | None = None

    def block(self, body: Sequence[Any], twins: Sequence[ast.stmt]) -> list[Stmt]:
        return [made for node, twin in zip(_small(body), twins, strict=True) for made in self.one(node, twin)]

    def one(self, node: Any, twin: ast.stmt) -> list[Stmt]:
        method = _STATEMENTS.get(type(node))
        return method(self, node, twin) if method is not None else []

    def suite(self, body: Any, twins: Sequence[ast.stmt]) -> list[Stmt]:
        if type(body) is cst.SimpleStatementSuite:
            return self.block([cst.SimpleStatementLine(body=body.body)], twins)
        return self.block(body.body, twins)

    def header(self, twin: ast.stmt, lower: Callable[[], Any]) -> Any:
        """Run `lower` with the spans of the statement's own expressions; again with its own if they disagree."""
        self._spans = positions.in_order(positions.header_parts(twin), self._lines)
        self._next, self._fallback = 0, None
        result = lower()
        if self._next != len(self._spans):
            self._fallback = self._lines.span(twin)
            result = lower()
        return result

    def take(self) -> Span:
        if self._fallback is not None:
            return self._fallback
        self._next += 1
        return self._spans[self._next - 1] if self._next <= len(self._spans) else (1, 1, 1, 1)

    # Expressions

    def expr(self, node: Any) -> Expr:
        method = _EXPRESSIONS.get(type(node))
        return method(self, node) if method is not None else code.Other(type(node).__name__, [])

    def optional(self, node: Any) -> Expr | None:
        return None if node is None else self.expr(node)

    def name(self, node: cst.Name) -> Expr:
        at = self.take()
        if node.value in _SINGLETONS:
            return code.Literal(_SINGLETONS[node.value], at)
        return code.Name(node.value, at)

    def number(self, node: Any) -> Expr:
        return code.Literal(_number(node.value), self.take())

    def string(self, node: Any) -> Expr:
        at = self.take()
        quoted = isinstance(node, cst.SimpleString) and "\\" not in node.value and not node.prefix
        value = node.raw_value if quoted else node.evaluated_value
        if isinstance(value, str) and len(value) <= 400:
            return code.Literal(value, at)
        return self._parts(node, at)

    def formatted(self, node: Any) -> Expr:
        at = self.take()
        if not all(_plain_piece(piece) for piece in node.parts):
            return self._parts(node, at)
        outer, self._fallback = self._fallback, at
        parts: list[Expr] = [
            code.Literal(piece.value, None)
            if isinstance(piece, cst.FormattedStringText)
            else self.expr(piece.expression)
            for piece in node.parts
        ]
        self._fallback = outer
        return code.Other("text", parts)

    def _parts(self, node: Any, at: Span) -> Expr:
        # Older interpreters misplace what stands inside an f-string: it gets the span of the whole string.
        outer, self._fallback = self._fallback, at
        parts = [self.expr(expression) for expression in _formatted_expressions(node)]
        self._fallback = outer
        return code.Other("string", parts)

    def ellipsis(self, node: Any) -> Expr:
        self.take()
        return code.Other("ellipsis", [])

    def attribute(self, node: cst.Attribute) -> Expr:
        base = self.expr(node.value)
        return code.Attribute(base, node.attr.value, self.take())

    def call(self, node: cst.Call) -> Expr:
        func = self.expr(node.func)
        arguments = [self.argument(arg) for arg in node.args]
        return code.Call(func, arguments, self.take())

    def argument(self, node: cst.Arg) -> code.Argument:
        value = self.expr(node.value)
        at = self.take() if node.keyword or node.star == "**" else None
        return code.Argument(node.keyword.value if node.keyword else None, value, node.star, at)

    def subscript(self, node: cst.Subscript) -> Expr:
        base = self.expr(node.value)
        index = [self.slice(element.slice) for element in node.slice]
        return code.Subscript(base, index, self.take())

    def slice(self, node: Any) -> Expr:
        if type(node) is cst.Slice:
            return code.Slice(self.optional(node.lower), self.optional(node.upper), self.optional(node.step))
        value = self.expr(node.value)
        return code.Star(value) if node.star else value

    def binary(self, node: cst.BinaryOperation) -> Expr:
        # A long sum is a deep left spine: descend it in a loop.
        chain = [node]
        while isinstance(chain[-1].left, cst.BinaryOperation):
            chain.append(chain[-1].left)
        left = self.expr(chain[-1].left)
        for link in reversed(chain):
            right = self.expr(link.right)
            left = code.Binary(_OPERATORS.get(type(link.operator).__name__, "?"), left, right, self.take())
        return left

    def unary(self, node: cst.UnaryOperation) -> Expr:
        value = self.expr(node.expression)
        op = _OPERATORS.get(type(node.operator).__name__, "?")
        if op == "-" and isinstance(value, code.Literal) and type(value.value) in (int, float):
            return code.Literal(-value.value, value.at)  # type: ignore[operator]
        return code.Unary(op, value)

    def compare(self, node: cst.Comparison) -> Expr:
        left = self.expr(node.left)
        rest = [(_OPERATORS.get(type(t.operator).__name__, "?"), self.expr(t.comparator)) for t in node.comparisons]
        return code.Compare(left, rest)

    def logic(self, node: cst.BooleanOperation) -> Expr:
        op = _OPERATORS[type(node.operator).__name__]
        parts: list[Any] = [node.right]
        left = node.left
        while type(left) is cst.BooleanOperation and type(left.operator) is type(node.operator):
            parts.append(left.right)
            left = left.left
        parts.append(left)
        return code.Logic(op, [self.expr(part) for part in reversed(parts)])

    def conditional(self, node: cst.IfExp) -> Expr:
        body = self.expr(node.body)
        test = self.expr(node.test)
        return code.Conditional(test, body, self.expr(node.orelse))

    def display(self, node: Any) -> Expr:
        items: list[Expr] = []
        for element in node.elements:
            value = self.expr(element.value)
            items.append(code.Star(value) if type(element) is cst.StarredElement else value)
        kind = type(node).__name__.lower()
        return code.Sequence(kind, items, self.take() if kind == "list" else None)

    def mapping(self, node: cst.Dict) -> Expr:
        items: list[tuple[Expr | None, Expr]] = []
        for element in node.elements:
            key = self.expr(element.key) if type(element) is cst.DictElement else None
            items.append((key, self.expr(element.value)))
        return code.DictDisplay(items)

    def comprehension(self, node: Any) -> Expr:
        key = self.expr(node.key) if isinstance(node, cst.DictComp) else None
        element = self.expr(node.value if isinstance(node, cst.DictComp) else node.elt)
        generators: list[code.Generator] = []
        part = node.for_in
        while part is not None:
            target, iterable = self.expr(part.target), self.expr(part.iter)
            generators.append(code.Generator(target, iterable, [self.expr(test.test) for test in part.ifs]))
            part = part.inner_for_in
        return code.Comprehension(_COMPREHENSIONS[type(node).__name__], key, element, generators, self.take())

    def function(self, node: cst.Lambda) -> Expr:
        parameters = self.parameters(node.params)
        body = self.expr(node.body)
        return code.Lambda(parameters, body, self.take())

    def walrus(self, node: cst.NamedExpr) -> Expr:
        target = self.expr(node.target)
        value = self.expr(node.value)
        return code.Walrus(target.name, value) if isinstance(target, code.Name) else value

    def wrapped(self, node: Any) -> Expr:
        value = node.expression if isinstance(node, cst.Await) else node.value
        kind = "yield"
        if isinstance(value, cst.From):
            value, kind = value.item, "yield from"
        parts = [] if value is None else [self.expr(value)]
        return parts[0] if isinstance(node, cst.Await) else code.Other(kind, parts)

    def starred(self, node: cst.StarredElement) -> Expr:
        return code.Star(self.expr(node.value))

    def parameters(self, node: cst.Parameters) -> list[code.Parameter]:
        def one(param: cst.Param, star: str, keyword_only: bool) -> code.Parameter:
            annotation = self.expr(param.annotation.annotation) if param.annotation else None
            default = self.optional(param.default)
            return code.Parameter(param.name.value, default, annotation, star, keyword_only)

        result = [one(param, "", False) for param in (*node.posonly_params, *node.params)]
        if type(node.star_arg) is cst.Param:
            result.append(one(node.star_arg, "*", False))
        result.extend(one(param, "", True) for param in node.kwonly_params)
        if node.star_kwarg is not None:
            result.append(one(node.star_kwarg, "**", False))
        return result

    # Statements

    def evaluate(self, node: cst.Expr, twin: ast.stmt) -> list[Stmt]:
        value = self.header(twin, lambda: self.expr(node.value))
        idle = isinstance(value, code.Literal) or (
            isinstance(value, code.Other) and not value.parts and not value.kind.startswith("yield")
        )
        return [] if idle else [code.Evaluate(value, self._lines.span(twin))]

    def assign(self, node: cst.Assign, twin: ast.stmt) -> list[Stmt]:
        targets, value = self.header(twin, lambda: ([self.expr(t.target) for t in node.targets], self.expr(node.value)))
        return [code.Assign(targets, value, self._lines.span(twin))]

    def annotated(self, node: cst.AnnAssign, twin: ast.stmt) -> list[Stmt]:
        target, annotation, value = self.header(
            twin, lambda: (self.expr(node.target), self.expr(node.annotation.annotation), self.optional(node.value))
        )
        return [code.Annotated(target, annotation, value, self._lines.span(twin))]

    def augmented(self, node: cst.AugAssign, twin: ast.stmt) -> list[Stmt]:
        target, value = self.header(twin, lambda: (self.expr(node.target), self.expr(node.value)))
        op = _OPERATORS.get(type(node.operator).__name__.removesuffix("Assign"), "?")
        return [code.Augmented(target, op, value, self._lines.span(twin))]

    def branch(self, node: cst.If, twin: ast.If) -> list[Stmt]:
        # An elif ladder is a right spine: unroll it, so that a thousand arms need no thousand frames. A long one is
        # read as a choice between its arms that no test decides.
        ladder: list[tuple[Expr, list[Stmt], Span]] = []
        rest: list[Stmt] = []
        current: Any = node
        while True:
            test = self.header(twin, partial(self.expr, current.test))
            ladder.append((test, self.suite(current.body, twin.body), self._lines.header(twin)))
            if isinstance(current.orelse, cst.If):
                current, twin = current.orelse, twin.orelse[0]  # type: ignore[assignment]
                continue
            if current.orelse is not None:
                rest = self.suite(current.orelse.body, twin.orelse)
            break
        if len(ladder) > LADDER:
            tests = code.Other("tests", [test for test, _, _ in ladder])
            return [code.Match(tests, [*(body for _, body, _ in ladder), rest], ladder[0][2])]
        for test, body, at in reversed(ladder):
            rest = [code.If(test, body, rest, at)]
        return rest

    def loop(self, node: cst.For, twin: Any) -> list[Stmt]:
        target, iterable = self.header(twin, lambda: (self.expr(node.target), self.expr(node.iter)))
        body = self.suite(node.body, twin.body)
        orelse = self.suite(node.orelse.body, twin.orelse) if node.orelse else []
        return [code.For(target, iterable, body, orelse, self._lines.header(twin))]

    def repeat(self, node: cst.While, twin: Any) -> list[Stmt]:
        test = self.header(twin, lambda: self.expr(node.test))
        body = self.suite(node.body, twin.body)
        orelse = self.suite(node.orelse.body, twin.orelse) if node.orelse else []
        return [code.While(test, body, orelse, self._lines.header(twin))]

    def within(self, node: cst.With, twin: Any) -> list[Stmt]:
        def items() -> list[tuple[Expr, Expr | None]]:
            return [(self.expr(i.item), self.expr(i.asname.name) if i.asname else None) for i in node.items]

        lowered = self.header(twin, items)
        return [code.With(lowered, self.suite(node.body, twin.body), self._lines.header(twin))]

    def attempt(self, node: Any, twin: Any) -> list[Stmt]:
        body = self.suite(node.body, twin.body)
        handlers = [self.suite(h.body, t.body) for h, t in zip(node.handlers, twin.handlers, strict=True)]
        orelse = self.suite(node.orelse.body, twin.orelse) if node.orelse else []
        final = self.suite(node.finalbody.body, twin.finalbody) if node.finalbody else []
        return [code.Try(body, handlers, orelse, final, self._lines.header(twin))]

    def match(self, node: cst.Match, twin: Any) -> list[Stmt]:
        subject = self.header(twin, lambda: self.expr(node.subject))
        cases = [self.suite(case.body, t.body) for case, t in zip(node.cases, twin.cases, strict=True)]
        return [code.Match(subject, cases, self._lines.header(twin))]

    def define(self, node: cst.FunctionDef, twin: Any) -> list[Stmt]:
        def head() -> tuple[list[Expr], list[code.Parameter]]:
            decorators = [self.expr(d.decorator) for d in node.decorators]
            parameters = self.parameters(node.params)
            if node.returns is not None:
                self.expr(node.returns.annotation)
            return decorators, parameters

        decorators, parameters = self.header(twin, head)
        body = self.suite(node.body, twin.body)
        return [code.Function(node.name.value, parameters, decorators, body, self._lines.header(twin))]

    def define_class(self, node: cst.ClassDef, twin: Any) -> list[Stmt]:
        def head() -> tuple[list[Expr], list[Expr], str]:
            decorators = [self.expr(d.decorator) for d in node.decorators]
            arguments = sorted((*node.bases, *node.keywords), key=lambda a: a.keyword is not None)
            values = [(arg.keyword, self.expr(arg.value)) for arg in arguments]
            kinds = [v for k, v in values if k is not None and k.value == "metaclass"]
            kind = next((v.name if isinstance(v, (code.Name, code.Attribute)) else "?" for v in kinds), "")
            return decorators, [value for keyword, value in values if keyword is None], kind

        decorators, bases, metaclass = self.header(twin, head)
        body = self.suite(node.body, twin.body)
        return [code.Class(node.name.value, bases, decorators, body, self._lines.header(twin), metaclass)]

    def give_back(self, node: cst.Return, twin: ast.stmt) -> list[Stmt]:
        value = self.header(twin, lambda: self.optional(node.value))
        return [code.Return(value, self._lines.span(twin))]

    def jump(self, node: Any, twin: ast.stmt) -> list[Stmt]:
        value = self.header(twin, lambda: self._raised(node)) if isinstance(node, cst.Raise) else None
        return [code.Jump(type(node).__name__.lower(), value, self._lines.span(twin))]

    def _raised(self, node: cst.Raise) -> Expr | None:
        value = self.optional(node.exc)
        if node.cause is not None:
            self.expr(node.cause.item)
        return value

    def delete(self, node: cst.Del, twin: ast.stmt) -> list[Stmt]:
        target = self.header(twin, lambda: self.expr(node.target))
        targets = target.items if isinstance(target, code.Sequence) else [target]
        return [code.Delete(targets, self._lines.span(twin))]

    def check(self, node: cst.Assert, twin: ast.stmt) -> list[Stmt]:
        test = self.header(twin, lambda: (self.expr(node.test), self.optional(node.msg)))[0]
        return [code.Assert(test, self._lines.span(twin))]

    def bring(self, node: Any, twin: Any) -> list[Stmt]:
        return [imported(twin, self._lines)]

    def scoped(self, node: Any, twin: Any) -> list[Stmt]:
        return [code.Scoped(type(node).__name__.lower(), list(twin.names), self._lines.span(twin))]


def _plain_piece(piece: Any) -> bool:
    """Whether a piece of an f-string is its text as written, or an expression without format or conversion."""
    if isinstance(piece, cst.FormattedStringText):
        return not {"\\", "{", "}"} & set(piece.value)
    return piece.format_spec is None and piece.conversion is None and piece.equal is None


def _formatted_expressions(node: Any) -> list[Any]:
    if isinstance(node, cst.ConcatenatedString):
        return [*_formatted_expressions(node.left), *_formatted_expressions(node.right)]
    if isinstance(node, cst.FormattedString):
        return [part.expression for part in node.parts if isinstance(part, cst.FormattedStringExpression)]
    return []


def _number(text: str) -> int | float | None:
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


_SINGLETONS = {"True": True, "False": False, "None": None}
_COMPREHENSIONS = {"ListComp": "list", "SetComp": "set", "GeneratorExp": "generator", "DictComp": "dict"}
_OPERATORS = {
    "Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/", "FloorDivide": "//", "Modulo": "%", "Power": "**",
    "MatrixMultiply": "@", "BitAnd": "&", "BitOr": "|", "BitXor": "^", "LeftShift": "<<", "RightShift": ">>",
    "Minus": "-", "Plus": "+", "Not": "not", "BitInvert": "~", "Equal": "==", "NotEqual": "!=", "LessThan": "<",
    "LessThanEqual": "<=", "GreaterThan": ">", "GreaterThanEqual": ">=", "Is": "is", "IsNot": "is not", "In": "in",
    "NotIn": "not in", "And": "and", "Or": "or",
}  # fmt: skip
_EXPRESSIONS: dict[type, Callable[[_Lowering, Any], Expr]] = {
    cst.Name: _Lowering.name, cst.Integer: _Lowering.number, cst.Float: _Lowering.number,
    cst.Imaginary: _Lowering.number, cst.SimpleString: _Lowering.string, cst.ConcatenatedString: _Lowering.string,
    cst.FormattedString: _Lowering.formatted, cst.Ellipsis: _Lowering.ellipsis, cst.Attribute: _Lowering.attribute,
    cst.Call: _Lowering.call, cst.Subscript: _Lowering.subscript, cst.BinaryOperation: _Lowering.binary,
    cst.UnaryOperation: _Lowering.unary, cst.Comparison: _Lowering.compare, cst.BooleanOperation: _Lowering.logic,
    cst.IfExp: _Lowering.conditional, cst.Tuple: _Lowering.display, cst.List: _Lowering.display,
    cst.Set: _Lowering.display, cst.Dict: _Lowering.mapping, cst.ListComp: _Lowering.comprehension,
    cst.SetComp: _Lowering.comprehension, cst.GeneratorExp: _Lowering.comprehension,
    cst.DictComp: _Lowering.comprehension, cst.Lambda: _Lowering.function, cst.NamedExpr: _Lowering.walrus,
    cst.Await: _Lowering.wrapped, cst.Yield: _Lowering.wrapped, cst.StarredElement: _Lowering.starred,
}  # fmt: skip
_STATEMENTS: dict[type, Callable[[_Lowering, Any, Any], list[Stmt]]] = {
    cst.Expr: _Lowering.evaluate, cst.Assign: _Lowering.assign, cst.AnnAssign: _Lowering.annotated,
    cst.AugAssign: _Lowering.augmented, cst.If: _Lowering.branch, cst.For: _Lowering.loop, cst.While: _Lowering.repeat,
    cst.With: _Lowering.within, cst.Try: _Lowering.attempt, cst.TryStar: _Lowering.attempt, cst.Match: _Lowering.match,
    cst.FunctionDef: _Lowering.define, cst.ClassDef: _Lowering.define_class, cst.Return: _Lowering.give_back,
    cst.Break: _Lowering.jump, cst.Continue: _Lowering.jump, cst.Raise: _Lowering.jump, cst.Del: _Lowering.delete,
    cst.Assert: _Lowering.check, cst.Import: _Lowering.bring, cst.ImportFrom: _Lowering.bring,
    cst.Global: _Lowering.scoped, cst.Nonlocal: _Lowering.scoped,
}  # fmt: skip
