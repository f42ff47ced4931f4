"""A diagnostic as plain data for JSON, with the keys that ruff's JSON has."""

from __future__ import annotations

import hashlib
from typing import Any

from gradlint.diagnostics import Diagnostic, Fix, Range
from gradlint.report import Report


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
    verdict = diagnostic.verdict
    if verdict is not None:
        data["verdict"] = {
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "value": verdict.value,
            "unit": verdict.unit,
            "threshold": verdict.threshold,
        }
    return data


def span(range: Range) -> dict[str, Any]:
    """`location` and `end_location`."""
    return {
        "location": {"row": range.line, "column": range.column},
        "end_location": {"row": range.end_line, "column": range.end_column},
    }


def where(diagnostic: Diagnostic) -> str:
    """`path:line:column`, or `path:cell 3:line:column` in a notebook."""
    cell = f"cell {diagnostic.cell}:" if diagnostic.cell is not None else ""
    return f"{diagnostic.filename}:{cell}{diagnostic.range.line}:{diagnostic.range.column}"


def fingerprint(diagnostic: Diagnostic, report: Report, seen: dict[str, int]) -> str:
    """Names a finding by file, rule and text of its line, so that moved lines keep it; `seen` numbers equal ones."""
    text = report.sources.line(diagnostic.filename, diagnostic.cell, diagnostic.range.line) or ""
    key = "\0".join((diagnostic.filename.replace("\\", "/"), diagnostic.code, " ".join(text.split())))
    seen[key] = seen.get(key, 0) + 1
    return hashlib.blake2b(f"{key}\0{seen[key]}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def _fix(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    edits = [{"content": edit.text, **span(edit.range)} for edit in fix.edits]
    return {"applicability": fix.applicability.value, "message": fix.message, "edits": edits}
