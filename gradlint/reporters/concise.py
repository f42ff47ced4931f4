"""One line each: `path:line:col: CODE message`. Problem matchers and editors read it."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.plain_diagnostic import message
from gradlint.report import Report
from gradlint.reporters._data import where
from gradlint.reporters._text import mark, paint, summary


def render(report: Report) -> Iterator[str]:
    """Lines, and a summary for people."""
    for diagnostic in report.diagnostics:
        code = paint(diagnostic.code, diagnostic.severity.value, report.colour)
        yield f"{where(diagnostic)}: {code} {mark(diagnostic)}{message(diagnostic)}\n"
    yield from summary(report)
