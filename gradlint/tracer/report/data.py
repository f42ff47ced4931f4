"""One trace as one JSON object."""

from __future__ import annotations

import json
from typing import Any

from gradlint import plain_diagnostic
from gradlint.tracer.outcome import Outcome

SCHEMA_VERSION = 1


def to_json(outcome: Outcome) -> str:
    """The object as text; every number in it is finite, and NaN and infinities are the strings nan, inf and -inf."""
    return json.dumps(to_data(outcome), ensure_ascii=False, indent=2, allow_nan=False)


def to_data(outcome: Outcome) -> dict[str, Any]:
    """schema_version, script, strategy, steps, device, assumptions, error, graph, verdicts, diagnostics.

    After `--verify` also verification: identical, differences, compared.
    """
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
                **plain_diagnostic.verdict(item.verdict),
            }
            for item in outcome.diagnostics
            if item.verdict is not None
        ],
        "diagnostics": [{"verdict": None, **plain_diagnostic.item(item)} for item in outcome.diagnostics],
        **({} if record["verification"] is None else {"verification": record["verification"]}),
    }
