"""pylint's parseable lines, for tools that read them."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.plain_diagnostic import message
from gradlint.report import Report


def render(report: Report) -> Iterator[str]:
    """`path:line: [CODE] message`."""
    for item in report.diagnostics:
        yield f"{item.filename}:{item.range.line}: [{item.code}] {message(item)}\n"
