"""One list of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gradlint.plain_diagnostic import item
from gradlint.report import Report


def render(report: Report) -> Iterator[str]:
    """A JSON list, indented."""
    yield json.dumps([item(diagnostic) for diagnostic in report.diagnostics], indent=2, ensure_ascii=False) + "\n"
