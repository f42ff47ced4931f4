"""Logging commands of Azure Pipelines."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.plain_diagnostic import message
from gradlint.report import Report


def render(report: Report) -> Iterator[str]:
    """One `##vso[task.logissue …]message` a line."""
    for item in report.diagnostics:
        level = "error" if item.severity.value == "error" else "warning"
        place = f"sourcepath={_escape(item.filename)};linenumber={item.range.line};columnnumber={item.range.column}"
        yield f"##vso[task.logissue type={level};{place};code={item.code};]{_escape(message(item))}\n"


def _escape(text: str) -> str:
    for letter, code in (("%", "%AZP25"), (";", "%3B"), ("\r", "%0D"), ("\n", "%0A"), ("]", "%5D")):
        text = text.replace(letter, code)
    return text
