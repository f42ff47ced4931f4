"""reviewdog's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gradlint.diagnostics import Range
from gradlint.plain_diagnostic import message
from gradlint.report import Report

_SEVERITIES = {"error": "ERROR", "warning": "WARNING", "info": "INFO", "hint": "INFO"}


def render(report: Report) -> Iterator[str]:
    """One object; fixes of a single edit become suggestions."""
    diagnostics: list[dict[str, Any]] = []
    for item in report.diagnostics:
        data: dict[str, Any] = {
            "message": message(item),
            "location": {"path": item.filename.replace("\\", "/"), "range": _range(item.range)},
            "severity": _SEVERITIES[item.severity.value],
            "code": {"value": item.code, **({"url": item.url} if item.url else {})},
        }
        if item.fix is not None and len(item.fix.edits) == 1:
            edit = item.fix.edits[0]
            data["suggestions"] = [{"range": _range(edit.range), "text": edit.text}]
        diagnostics.append(data)
    yield json.dumps({"source": {"name": "gradlint"}, "diagnostics": diagnostics}, indent=2, ensure_ascii=False) + "\n"


def _range(range: Range) -> dict[str, Any]:
    return {
        "start": {"line": range.line, "column": range.column},
        "end": {"line": range.end_line, "column": range.end_column},
    }
