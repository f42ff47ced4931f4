"""A diagnostic for readers outside: plain data for JSON with the keys that ruff's JSON has, and a verdict in words."""

from __future__ import annotations

import math
from typing import Any

from gradlint.diagnostics import Diagnostic, Fix, Range, Verdict


def item(diagnostic: Diagnostic) -> dict[str, Any]:
    """Lines and columns are 1-based, an end is exclusive; in a notebook they count within the cell."""
    data: dict[str, Any] = {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "message": diagnostic.message,
        "severity": diagnostic.severity.value,
        "confidence": diagnostic.confidence,
        "filename": diagnostic.filename,
        "cell": diagnostic.cell,
        **span(diagnostic.range),
        "fix": _fix(diagnostic.fix),
        "url": diagnostic.url,
        "related": [{"filename": item.path, **span(item.range), "message": item.note} for item in diagnostic.related],
    }
    if diagnostic.verdict is not None:
        data["verdict"] = verdict(diagnostic.verdict)
    return data


def span(range: Range) -> dict[str, Any]:
    """`location` and `end_location`."""
    return {
        "location": {"row": range.line, "column": range.column},
        "end_location": {"row": range.end_line, "column": range.end_column},
    }


def verdict(said: Verdict) -> dict[str, Any]:
    """What the trace said; NaN and infinities, which JSON lacks, are the strings nan, inf and -inf."""
    return {
        "verdict": said.verdict,
        "value": _number(said.value),
        "unit": said.unit,
        "threshold": _number(said.threshold),
        "reason": said.reason,
    }


def measurement(said: Verdict) -> str:
    """`0.61 share of units, threshold 0.5`; empty if nothing was measured."""
    if said.value is None:
        return ""
    limit = "" if said.threshold is None else f", threshold {_written(said.threshold)}"
    return f"{_written(said.value)} {said.unit}{limit}"


def message(diagnostic: Diagnostic) -> str:
    """The message, and after it what the trace said."""
    said = diagnostic.verdict
    return diagnostic.message if said is None else f"{diagnostic.message} ({said.verdict}: {said.reason})"


def is_refuted(diagnostic: Diagnostic) -> bool:
    """Whether the trace showed the opposite."""
    return diagnostic.verdict is not None and diagnostic.verdict.verdict == "refuted"


def _fix(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    edits = [{"content": edit.text, **span(edit.range)} for edit in fix.edits]
    return {"applicability": fix.applicability.value, "message": fix.message, "edits": edits}


def _number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)


def _written(value: float) -> str:
    from gradlint.facts.magnitudes import format_ratio

    if value == 0.0 or 0.001 <= abs(value) < 100_000.0:
        return f"{value:.4g}"
    return format_ratio(value) if math.isfinite(value) else str(value)
