"""One trace as one JSON object."""

from __future__ import annotations

import json
import math
from typing import Any

from gradlint.diagnostics import Diagnostic, Fix, Verdict
from gradlint.tracer.outcome import Outcome

SCHEMA_VERSION = 1


def to_json(outcome: Outcome) -> str:
    """The object as text; every number in it is finite, and NaN and infinities are the strings nan, inf and -inf."""
    return json.dumps(to_data(outcome), ensure_ascii=False, indent=2, allow_nan=False)


def to_data(outcome: Outcome) -> dict[str, Any]:
    """schema_version, script, strategy, steps, device, assumptions, error, graph, verdicts, diagnostics."""
    record = outcome.record
    error = record["error"]
    graph = outcome.graph.to_data()
    return {
        "schema_version": SCHEMA_VERSION,
        "script": record["script"],
        "strategy": record["strategy"],
        "steps": record["steps"],
        "device": record["device"],
        "assumptions": [item["message"] for item in record["assumptions"]],
        "error": None if error is None else {"kind": error["kind"], "message": error["message"]},
        "graph": {"nodes": graph["nodes"], "edges": graph["edges"]},
        "verdicts": [
            {
                "code": item.code,
                "name": item.name,
                "filename": item.filename,
                "location": {"row": item.range.line, "column": item.range.column},
                **verdict_data(item.verdict),
            }
            for item in outcome.diagnostics
            if item.verdict is not None
        ],
        "diagnostics": [_diagnostic(item) for item in outcome.diagnostics],
    }


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """verdict, value, unit, threshold, reason."""
    return {
        "verdict": verdict.verdict,
        "value": _number(verdict.value),
        "unit": verdict.unit,
        "threshold": _number(verdict.threshold),
        "reason": verdict.reason,
    }


def _diagnostic(item: Diagnostic) -> dict[str, Any]:
    return {
        "code": item.code,
        "name": item.name,
        "message": item.message,
        "severity": item.severity.value,
        "confidence": item.confidence,
        "filename": item.filename,
        "cell": item.cell,
        "location": {"row": item.range.line, "column": item.range.column},
        "end_location": {"row": item.range.end_line, "column": item.range.end_column},
        "fix": None if item.fix is None else _fix(item.fix),
        "url": item.url,
        "verdict": None if item.verdict is None else verdict_data(item.verdict),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "message": fix.message,
        "applicability": fix.applicability.value,
        "edits": [
            {
                "content": edit.text,
                "location": {"row": edit.range.line, "column": edit.range.column},
                "end_location": {"row": edit.range.end_line, "column": edit.range.end_column},
            }
            for edit in fix.edits
        ],
    }


def _number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)
