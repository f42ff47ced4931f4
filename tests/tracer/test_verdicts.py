"""Pairs of small training scripts, one with a defect and one without: what a real traced step says about each.

The expectations in `expected.yaml` beside the scripts were written from theory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tracing import FIXTURES, trace, trace_in_child

from gradlint.catalog import Catalog
from gradlint.diagnostics import Diagnostic, Range, Severity, Verdict
from gradlint.tracer.schema import TraceRecord
from gradlint.tracer.verdicts import attach, awaited, observe, rules_with_verdict, said_by, trace_only_rules

CASES = [
    (folder.name, form, kind, expected)
    for folder in sorted(FIXTURES.iterdir())
    if (folder / "expected.yaml").is_file()
    for form, kinds in yaml.safe_load((folder / "expected.yaml").read_text("utf-8")).items()
    for kind in ("buggy", "fixed")
    for expected in [kinds[kind]]
]


def diagnostic(rule: str, script: Path, text: str) -> Diagnostic:
    """The static finding that points at the first line with `text`."""
    lines = script.read_text("utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if text in line)
    spec = Catalog().rule(rule)
    span = Range(number, 1, number, len(lines[number - 1]) + 1)
    return Diagnostic(spec.code, rule, "claimed", Severity.WARNING, "medium", str(script), span)


def measured(rule: str, script: Path) -> TraceRecord:
    """The trace of the script; curvature and repeated losses only where the rule needs them, since they cost time."""
    measure = ("curvature", "same-batch") if "learning-rate" in rule else ()
    return trace(script, measure=measure, awaited=tuple(sorted(awaited([rule]))))


def verdict_on(rule: str, script: Path, text: str) -> Verdict:
    claimed = diagnostic(rule, script, text)
    attached = attach([claimed], measured(rule, script))[0]
    assert replace(attached, verdict=None) == claimed
    assert attached.verdict is not None
    return attached.verdict


@pytest.mark.parametrize(
    ("rule", "form", "kind", "expected"), CASES, ids=[f"{rule}-{form}-{kind}" for rule, form, kind, _ in CASES]
)
def test_pair(rule: str, form: str, kind: str, expected: dict[str, Any]) -> None:
    script = FIXTURES / rule / f"{form}_{kind}.py"
    if "reported" in expected:
        found = [item.verdict.reason for item in observe(measured(rule, script)) if item.finding.rule == rule]
        assert bool(found) == expected["reported"], found
    elif expected:
        verdict = verdict_on(rule, script, expected["at"])
        assert verdict.verdict == expected["verdict"], verdict
        assert verdict.reason
        assert verdict.value is None or verdict.unit


@pytest.mark.parametrize(
    "script", sorted(FIXTURES.glob("*/*_fixed.py")), ids=lambda script: f"{script.parent.name}-{script.stem}"
)
def test_fixed_scripts_give_no_finding_of_the_tracer(script: Path) -> None:
    reported = [(item.finding.rule, item.verdict.reason) for item in observe(measured(script.parent.name, script))]
    assert reported == []


@pytest.mark.parametrize("script", sorted((FIXTURES / "good").glob("*.py")), ids=lambda script: script.stem)
def test_well_kept_networks_give_no_finding_of_the_tracer(script: Path) -> None:
    record = trace(script, measure=("same-batch",) if script.stem == "resnet" else ("curvature", "same-batch"))
    assert record["error"] is None
    assert [(item.finding.rule, item.verdict.reason) for item in observe(record)] == []


@pytest.mark.parametrize("script", ["missing-zero-grad/plain_buggy.py", "vanishing-gradient/deep_tanh_buggy.py"])
def test_a_child_measures_the_same(script: str) -> None:
    here, child = trace(script), trace_in_child(script)
    assert child["error"] is None
    assert [event["kind"] for event in child["events"]] == [event["kind"] for event in here["events"]]
    assert child["edges"] == here["edges"]
    assert child["losses"] == here["losses"]
    seen = [[(node["id"], node["activation"], node["output_gradient"]) for node in r["nodes"]] for r in (here, child)]
    assert seen[0] == seen[1]


def test_every_rule_with_a_measurement_has_a_pair() -> None:
    covered = {rule for rule, _, _, _ in CASES}
    assert (rules_with_verdict() | trace_only_rules()) - covered == set()


def test_every_rule_that_promises_a_measurement_has_one() -> None:
    rules = Catalog().rules
    assert rules_with_verdict() == {name for name, spec in rules.items() if spec.static and spec.trace}
    assert trace_only_rules() == {name for name, spec in rules.items() if not spec.static}
    for rule in trace_only_rules():
        assert said_by(rule) <= {name for name, spec in rules.items() if spec.static and spec.trace}
