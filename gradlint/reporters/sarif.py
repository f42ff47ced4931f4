"""SARIF 2.1.0: rules with their help, results with fixes, suppressions and fingerprints that survive moved lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradlint import __version__, plain_diagnostic
from gradlint.catalog import RuleSpec
from gradlint.diagnostics import Applicability, Diagnostic, Range, Verdict
from gradlint.report import Report
from gradlint.reporters._data import fingerprint

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note", "hint": "note"}


def render(report: Report) -> Iterator[str]:
    """One log with one run. Rows of notebooks are rows of the cell, which `properties` names."""
    used = {item.name for item in report.diagnostics} | {item.diagnostic.name for item in report.suppressed}
    rules = sorted((rule for rule in report.rules.values() if rule.name in used), key=lambda rule: rule.code)
    index = {rule.name: position for position, rule in enumerate(rules)}
    seen: dict[str, int] = {}
    results = [_result(item, report, index, seen) for item in report.diagnostics]
    for item in report.suppressed:
        suppression: dict[str, Any] = {"kind": item.kind}
        if item.reason:
            suppression["justification"] = item.reason
        results.append({**_result(item.diagnostic, report, index, seen), "suppressions": [suppression]})
    driver = {
        "name": "gradlint",
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"uri": Path.cwd().as_uri().rstrip("/") + "/"}},
        "results": results,
    }
    yield json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: RuleSpec) -> dict[str, Any]:
    parts = (("Why it hurts", rule.why), ("What to write instead", rule.fix), ("When it is fine", rule.fine))
    markdown = "\n\n".join(f"## {title}\n\n{text.strip()}" for title, text in parts if text.strip())
    data: dict[str, Any] = {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": " ".join(rule.why.split())},
        "help": {"text": markdown.replace("## ", ""), "markdown": markdown},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["pytorch", rule.family], "precision": _precision(rule.confidence)},
    }
    if rule.url:
        data["helpUri"] = rule.url
    return data


def _precision(confidence: str) -> str:
    return {"high": "very-high", "medium": "high", "low": "medium"}[confidence]


def _result(item: Diagnostic, report: Report, index: dict[str, int], seen: dict[str, int]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "ruleId": item.code,
        "ruleIndex": index[item.name],
        "level": _LEVELS[item.severity.value],
        "message": {"text": item.message},
        "locations": [_location(item.filename, item.range)],
        "partialFingerprints": {"gradlint/v1": fingerprint(item, report, seen)},
    }
    if item.related:
        data["relatedLocations"] = [
            {"id": number, **_location(place.path, place.range), "message": {"text": place.note}}
            for number, place in enumerate(item.related, 1)
        ]
    if item.fix is not None and item.fix.applicability is not Applicability.DISPLAY:
        replacements = [
            {"deletedRegion": _region(edit.range), "insertedContent": {"text": edit.text}} for edit in item.fix.edits
        ]
        change = {"artifactLocation": _artifact(item.filename), "replacements": replacements}
        data["fixes"] = [{"description": {"text": item.fix.message}, "artifactChanges": [change]}]
    properties: dict[str, Any] = {"confidence": item.confidence}
    if item.cell is not None:
        properties["cell"] = item.cell
    if item.verdict is not None:
        properties["verdict"] = plain_diagnostic.verdict(item.verdict)
        data["codeFlows"] = [_flow(item, item.verdict)]
        if plain_diagnostic.is_refuted(item):
            data.update(kind="pass", level="none")
    data["properties"] = properties
    return data


def _flow(item: Diagnostic, verdict: Verdict) -> dict[str, Any]:
    """The places that the finding rests on, in the order of the file, then the finding with what was measured there."""
    steps = [
        {"location": {**_location(place.path, place.range), "message": {"text": place.note}}}
        for place in sorted(item.related, key=lambda place: (place.path, place.range))
    ]
    said = {"text": f"{verdict.verdict}: {verdict.reason}"}
    steps.append({"location": {**_location(item.filename, item.range), "message": said}})
    return {"message": said, "threadFlows": [{"locations": steps}]}


def _location(path: str, range: Range) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": _artifact(path), "region": _region(range)}}


def _artifact(path: str) -> dict[str, Any]:
    if os.path.isabs(path):
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(path.replace(os.sep, "/")), "uriBaseId": "SRCROOT"}


def _region(range: Range) -> dict[str, int]:
    return {
        "startLine": range.line,
        "startColumn": range.column,
        "endLine": range.end_line,
        "endColumn": range.end_column,
    }
