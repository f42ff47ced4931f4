"""Where things are, in characters."""

from __future__ import annotations

import ast
from typing import Any

from gradlint.facts.code import Span


class Lines:
    """Turns `ast` columns (UTF-8 bytes, 0-based) into character columns (1-based); `lines` are those of `text`."""

    def __init__(self, text: str, lines: list[str]) -> None:
        self._ascii = text.isascii()
        self._lines = lines

    def span(self, node: Any) -> Span:
        """Span of any located `ast` node."""
        if self._ascii:
            return (node.lineno, node.col_offset + 1, node.end_lineno, node.end_col_offset + 1)
        line, end = node.lineno, node.end_lineno
        return (
            line,
            self._characters(line, node.col_offset) + 1,
            end,
            self._characters(end, node.end_col_offset) + 1,
        )

    def header(self, node: ast.AST) -> Span:
        """Span of a compound statement's first line."""
        line, column, end, end_column = self.span(node)
        if end == line:
            return (line, column, end, end_column)
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        return (line, column, line, max(len(text.rstrip()) + 1, column + 1))

    def _characters(self, line: int, column: int) -> int:
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        return column if text.isascii() else len(text.encode()[:column].decode(errors="replace"))
