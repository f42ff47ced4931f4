"""GitLab Code Quality: one list of issues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gradlint.plain_diagnostic import message
from gradlint.report import Report
from gradlint.reporters._data import fingerprint

_SEVERITIES = {"error": "major", "warning": "minor", "info": "info", "hint": "info"}


def render(report: Report) -> Iterator[str]:
    """Fingerprints stay the same when lines move."""
    seen: dict[str, int] = {}
    issues: list[dict[str, Any]] = [
        {
            "description": f"{item.code}: {message(item)}",
            "check_name": item.name,
            "fingerprint": fingerprint(item, report, seen),
            "severity": _SEVERITIES[item.severity.value],
            "location": {
                "path": item.filename.replace("\\", "/"),
                "positions": {
                    "begin": {"line": item.range.line, "column": item.range.column},
                    "end": {"line": item.range.end_line, "column": item.range.end_column},
                },
            },
        }
        for item in report.diagnostics
    ]
    yield json.dumps(issues, indent=2, ensure_ascii=False) + "\n"
