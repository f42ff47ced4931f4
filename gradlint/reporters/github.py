"""Workflow commands of GitHub Actions: each diagnostic becomes an annotation on its line."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.plain_diagnostic import is_refuted, message
from gradlint.report import Report
from gradlint.reporters._data import where

_LEVELS = {"error": "error", "warning": "warning", "info": "notice", "hint": "notice"}


def render(report: Report) -> Iterator[str]:
    """One `::error file=…::message` a line."""
    for item in report.diagnostics:
        # A notebook's lines are lines of a cell, which GitHub cannot show; the first line of the file is the nearest.
        line, end = (1, 1) if item.cell else (item.range.line, item.range.end_line)
        properties = (
            f"title={_property(f'gradlint ({item.code})')},file={_property(item.filename)},line={line},endLine={end}"
        )
        if line == end and not item.cell:
            properties += f",col={item.range.column},endColumn={item.range.end_column}"
        text = _data(f"{where(item)}: {item.code} {message(item)}")
        level = "notice" if is_refuted(item) else _LEVELS[item.severity.value]
        yield f"::{level} {properties}::{text}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
