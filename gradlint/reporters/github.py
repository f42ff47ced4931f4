"""Workflow commands of GitHub Actions: each diagnostic becomes an annotation on its line."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.report import Report

_LEVELS = {"error": "error", "warning": "warning", "info": "notice", "hint": "notice"}


def render(report: Report) -> Iterator[str]:
    """One `::error file=…::message` a line."""
    for item in report.diagnostics:
        place = f"{item.filename}:{'cell ' + str(item.cell) + ':' if item.cell else ''}{item.range.line}:{item.range.column}"
        # A notebook's lines are lines of a cell, which GitHub cannot show; the first line of the file is the nearest.
        line, end = (1, 1) if item.cell else (item.range.line, item.range.end_line)
        properties = (
            f"title={_property(f'gradlint ({item.code})')},file={_property(item.filename)},line={line},endLine={end}"
        )
        if line == end and not item.cell:
            properties += f",col={item.range.column},endColumn={item.range.end_column}"
        yield f"::{_LEVELS[item.severity.value]} {properties}::{_data(f'{place}: {item.code} {item.message}')}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
