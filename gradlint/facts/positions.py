"""Where things are: spans of a statement's expressions, in the order in which the text ends them.

LibCST keeps no positions, and its position provider costs twice a parse. `ast` knows them at a tenth of a parse, so
each statement's spans are collected from its `ast` twin and handed out while the CST is lowered in the same order.
Contents of f-strings and of match patterns are left out on both sides.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from gradlint.facts.code import Span

_MARKED = (
    ast.Name, ast.Constant, ast.JoinedStr, ast.Attribute, ast.Call, ast.Subscript, ast.BinOp, ast.List, ast.Lambda,
    ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp, ast.keyword,
)  # fmt: skip


class Lines:
    """Turns `ast` columns (UTF-8 bytes, 0-based) into character columns (1-based); `lines` are those of `text`."""

    def __init__(self, text: str, lines: list[str]) -> None:
        self._ascii = text.isascii()
        self.text_lines = lines

    def span(self, node: ast.AST) -> Span:
        """Span of any located `ast` node."""
        line, column, end, end_column = node.lineno, node.col_offset, node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]
        if not self._ascii:
            column = self._characters(line, column)
            end_column = self._characters(end, end_column)
        return (line, column + 1, end, end_column + 1)

    def header(self, node: ast.AST) -> Span:
        """Span of a compound statement's first line."""
        line, column, end, end_column = self.span(node)
        if end == line:
            return (line, column, end, end_column)
        text = self.text_lines[line - 1] if line <= len(self.text_lines) else ""
        return (line, column, line, max(len(text.rstrip()) + 1, column + 1))

    def _characters(self, line: int, column: int) -> int:
        text = self.text_lines[line - 1] if line <= len(self.text_lines) else ""
        return column if text.isascii() else len(text.encode()[:column].decode(errors="replace"))


def in_order(nodes: Iterable[ast.AST | None], lines: Lines) -> list[Span]:
    """Spans of all marked expressions under `nodes`, children before parents, left to right."""
    spans: list[Span] = []
    for node in nodes:
        if node is not None:
            _collect(node, spans, lines)
    return spans


def _collect(node: ast.AST, spans: list[Span], lines: Lines) -> None:
    for child in _children(node):
        _collect(child, spans, lines)
    if isinstance(node, _MARKED):
        spans.append(lines.span(node))


def _children(node: ast.AST) -> Iterable[ast.AST]:
    kind = type(node)
    if kind is ast.Name or kind is ast.Constant or kind is ast.JoinedStr:
        return ()
    if kind is ast.Call:
        parts: list[ast.AST] = [node.func, *node.args]  # type: ignore[attr-defined]
        if node.keywords:  # type: ignore[attr-defined]
            parts[1:] = sorted([*parts[1:], *node.keywords], key=lambda n: (n.lineno, n.col_offset))  # type: ignore[attr-defined]
        return parts
    if kind is ast.Attribute:
        return (node.value,)  # type: ignore[attr-defined]
    if kind is ast.IfExp:
        return (node.body, node.test, node.orelse)  # type: ignore[attr-defined]
    if kind is ast.Dict:
        pairs = zip(node.keys, node.values, strict=True)  # type: ignore[attr-defined]
        return [part for pair in pairs for part in pair if part is not None]
    if kind is ast.arguments:
        return parameters(node)  # type: ignore[arg-type]
    if kind is ast.Lambda:
        return [*parameters(node.args), node.body]  # type: ignore[attr-defined]
    return ast.iter_child_nodes(node)


def parameters(arguments: ast.arguments) -> list[ast.AST]:
    """Annotations and defaults of a parameter list in textual order."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = list(zip(positional, defaults, strict=True))
    if arguments.vararg:
        pairs.append((arguments.vararg, None))
    pairs.extend(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    if arguments.kwarg:
        pairs.append((arguments.kwarg, None))
    return [part for argument, default in pairs for part in (argument.annotation, default) if part is not None]


def header_parts(node: ast.stmt) -> list[ast.AST | None]:
    """The expressions that stand in a statement itself, not in the statements of its body, in textual order."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [*node.decorator_list, *parameters(node.args), node.returns]
    if isinstance(node, ast.ClassDef):
        values = [*node.bases, *(keyword.value for keyword in node.keywords)]
        return [*node.decorator_list, *sorted(values, key=lambda n: (n.lineno, n.col_offset))]
    if isinstance(node, (ast.If, ast.While)):
        return [node.test]
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return [node.target, node.iter]
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return [part for item in node.items for part in (item.context_expr, item.optional_vars)]
    if isinstance(node, ast.Match):
        return [node.subject]
    if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
        return []
    return list(ast.iter_child_nodes(node))
