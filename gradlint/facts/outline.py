"""A parsed file whose top-level statements are lowered when they are wanted: all that matter for a linted file, only
those whose names are used for an imported one.
"""

from __future__ import annotations

import ast

from gradlint.facts import code, positions
from gradlint.facts.build import lower, parse, split_lines
from gradlint.facts.code import Stmt
from gradlint.facts.relevance import relevant
from gradlint.facts.shrink import shrink


class Outline:
    """One file. Raises SourceError with line and column where the text is not Python."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.text = text
        self._tree = parse(text, path)
        lines = split_lines(text)
        self._lines = positions.Lines(text, lines)
        self._split = shrink(self._tree, text, lines)
        self._lowered: dict[int, list[Stmt]] = {}
        self._program: code.Program | None = None
        self.binders = self._binders()
        self.stars = [i for i, node in enumerate(self._tree.body) if _imports_all(node)]

    def program(self) -> code.Program:
        """Every statement that can matter, in order."""
        if self._program is None:
            wanted = relevant(self._tree, self._split)
            self._program = code.Program(self.path, [stmt for index in wanted for stmt in self.statement(index)])
            for index in wanted:
                self._tree.body[index] = ast.Pass()  # lowered once, it is not looked at again
        return self._program

    def statement(self, index: int) -> list[Stmt]:
        """One top-level statement."""
        if index not in self._lowered:
            self._lowered[index] = lower([self._tree.body[index]], self._lines, self.path)[0]
        return self._lowered[index]

    def _binders(self) -> dict[str, list[int]]:
        """Which statements bind each name, or change its value by a method call."""
        table: dict[str, list[int]] = {}
        for index, node in enumerate(self._tree.body):
            for name in binds(node):
                table.setdefault(name, []).append(index)
        return table


def _imports_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)


def binds(node: ast.stmt) -> set[str]:
    """Names that a statement binds, or whose value it changes by a method call or an item assignment."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {name for target in node.targets for name in _names(target)}
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        return _names(node.target)
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _names(node.value.func)
    inner = [getattr(node, field, []) for field in ("body", "orelse", "finalbody")]
    inner += [handler.body for handler in getattr(node, "handlers", [])]
    return {name for block in inner for statement in block for name in binds(statement)}


def _names(target: ast.expr) -> set[str]:
    if isinstance(target, (ast.Tuple, ast.List)):
        return {name for item in target.elts for name in _names(item)}
    while isinstance(target, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        target = target.func if isinstance(target, ast.Call) else target.value
    return {target.id} if isinstance(target, ast.Name) else set()
