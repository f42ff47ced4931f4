"""One object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gradlint.plain_diagnostic import item
from gradlint.report import Report


def render(report: Report) -> Iterator[str]:
    """JSON lines."""
    for diagnostic in report.diagnostics:
        yield json.dumps(item(diagnostic), ensure_ascii=False) + "\n"
