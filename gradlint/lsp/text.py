"""One open document: gradlint's positions and diagnostics in the words of the protocol."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lsprotocol import types

from gradlint.diagnostics import Diagnostic, Range, Severity
from gradlint.source import split_lines

_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFO: types.DiagnosticSeverity.Information,
    Severity.HINT: types.DiagnosticSeverity.Hint,
}
_IDLE = "unused-suppression"


@dataclass(frozen=True)
class Text:
    """A document, or a cell of a notebook, as it was when it was linted.

    `units` counts the code units of a string in the encoding that was agreed on with the editor.
    """

    uri: str
    version: int | None
    source: str
    units: Callable[[str], int]

    @cached_property
    def lines(self) -> list[str]:
        """Lines as Python and the protocol count them."""
        return split_lines(self.source)

    def range(self, span: Range) -> types.Range:
        """1-based characters to 0-based code units."""
        return types.Range(self._position(span.line, span.column), self._position(span.end_line, span.end_column))

    def diagnostic(self, item: Diagnostic) -> types.Diagnostic:
        """With a link to the source of the claim, and related places that lie in other files too."""
        return types.Diagnostic(
            range=self.range(item.range),
            message=item.message,
            severity=_SEVERITIES[item.severity],
            code=item.code,
            code_description=types.CodeDescription(item.url) if item.url else None,
            source="gradlint",
            tags=[types.DiagnosticTag.Unnecessary] if item.name == _IDLE else None,
            related_information=[
                types.DiagnosticRelatedInformation(
                    types.Location(Path(os.path.abspath(place.path)).as_uri(), _plain(place.range)), place.note
                )
                for place in item.related
                if item.cell is None
            ]
            or None,
        )

    def problem(self, sentence: str) -> types.Diagnostic:
        """Work that could not be done, on the first line: no findings do not mean that all is well."""
        start = types.Position(0, 0)
        place = types.Range(start, types.Position(0, self.units(self.lines[0])))
        return types.Diagnostic(place, sentence, severity=types.DiagnosticSeverity.Error, source="gradlint")

    def _position(self, line: int, column: int) -> types.Position:
        if line > len(self.lines):
            return types.Position(len(self.lines), 0)
        return types.Position(line - 1, self.units(self.lines[line - 1][: column - 1]))


def _plain(span: Range) -> types.Range:
    """A place in a file that is not open here: characters, which are code units for all but the rarest text."""
    return types.Range(
        types.Position(span.line - 1, span.column - 1), types.Position(span.end_line - 1, span.end_column - 1)
    )
