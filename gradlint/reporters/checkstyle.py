"""Checkstyle XML."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from gradlint.plain_diagnostic import message
from gradlint.report import Report
from gradlint.reporters.junit import attribute

_SEVERITIES = {"error": "error", "warning": "warning", "info": "info", "hint": "info"}


def render(report: Report) -> Iterator[str]:
    """A `file` element for each file with findings."""
    yield '<?xml version="1.0" encoding="utf-8"?>\n<checkstyle version="4.3">\n'
    for name, group in groupby(report.diagnostics, key=lambda item: item.filename):
        yield f"  <file name={attribute(name)}>\n"
        for item in group:
            place = (
                f'line="{item.range.line}" column="{item.range.column}" severity="{_SEVERITIES[item.severity.value]}"'
            )
            yield f'    <error {place} message={attribute(message(item))} source="gradlint.{item.code}"/>\n'
        yield "  </file>\n"
    yield "</checkstyle>\n"
