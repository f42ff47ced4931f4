"""Text, JSON and pictures of a trace, from records written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("networkx")

from trace_records import SCRIPT, chain, edge, node, parameter

from gradlint.catalog import Catalog
from gradlint.diagnostics import Diagnostic, Range, Severity
from gradlint.errors import TraceError
from gradlint.tracer.outcome import Outcome, join
from gradlint.tracer.report.data import to_data, to_json
from gradlint.tracer.report.terminal import render, summary
from gradlint.tracer.schema import TraceRecord


def claim(rule: str, line: int) -> Diagnostic:
    spec = Catalog().rule(rule)
    return Diagnostic(spec.code, rule, "claimed", Severity.WARNING, "medium", SCRIPT, Range(line, 1, line, 9))


def traced(record: TraceRecord, *claims: Diagnostic) -> Outcome:
    return join(record, claims, Catalog().rules.get)


def test_layers_stand_in_forward_order_with_bars_and_predictions() -> None:
    lines = render(traced(chain([1e-12, 1e-6, 1.0]))).splitlines()
    rows = [line for line in lines if line.startswith(("  fc", "  act"))]
    assert [row.split()[0] for row in rows] == ["fc1", "act1", "fc2", "act2", "fc3"]
    assert [row.count("█") for row in rows if "fc" in row] == [0, 12, 24]
    assert "-6.00" in rows[0]
    assert rows[0].split()[-1] == "0.577"
    assert any("gradient at fc1 is 1·10⁻⁶ of the one at fc3" in line for line in lines)


def test_culprit_is_marked_only_where_little_gets_through() -> None:
    record = chain([1.0, 1.0, 1.0])
    assert "smallest local gain" not in render(traced(record))
    record["nodes"][3]["local_gain"] = 1e-6
    marked = [line for line in render(traced(record)).splitlines() if "smallest local gain" in line]
    assert len(marked) == 1
    assert marked[0].split()[0] == "act2"


def test_long_stacks_are_shortened_and_keep_both_ends() -> None:
    lines = render(traced(chain([10.0 ** (index - 120) for index in range(120)]))).splitlines()
    rows = [line.split()[0] for line in lines if line.startswith(("  fc", "  act"))]
    assert (rows[0], rows[-1]) == ("fc1", "fc120")
    assert len(rows) <= 41
    assert any(line.strip() == "…" for line in lines)


def test_verdicts_follow_their_findings() -> None:
    outcome = traced(chain([1e-12, 1e-6, 1.0]), claim("saturating-stack", 10))
    [item] = outcome.diagnostics
    assert item.verdict is not None
    assert item.verdict.verdict == "confirmed"
    assert item.verdict.value == pytest.approx(-6.0)
    assert item.verdict.threshold == -3.0
    assert (item.severity, item.confidence) == (Severity.ERROR, "high")
    text = render(outcome)
    assert "train.py:10:1: GL301 claimed" in text
    assert "confirmed: gradient at `fc1` measured 1·10⁻⁶ of the one at `fc3`" in text
    assert summary(outcome) == "1 confirmed"


def test_refuted_findings_do_not_fail_the_gate_unless_asked() -> None:
    outcome = traced(chain([0.5, 0.7, 1.0]), claim("saturating-stack", 10))
    assert summary(outcome) == "1 refuted"
    assert outcome.diagnostics[0].severity is Severity.WARNING
    assert outcome.failing("confirmed") == outcome.failing("any") == []
    assert len(outcome.failing("refuted")) == 1


def test_a_rule_without_measurement_stays_as_it_was() -> None:
    outcome = traced(chain([1.0, 1.0]), claim("scheduler-before-optimizer", 10))
    assert outcome.diagnostics[0].verdict is None
    assert len(outcome.failing("any")) == 1
    assert outcome.failing("confirmed") == []


def test_own_findings_come_with_their_rule() -> None:
    [item] = traced(chain([1e-10, 1e-4, 1.0])).diagnostics
    assert (item.code, item.name) == ("GL309", "vanishing-gradient")
    assert "1·10⁻⁵" in item.message
    assert item.filename == SCRIPT


def test_own_findings_are_limited_to_the_selected_rules() -> None:
    assert join(chain([1e-10, 1e-4, 1.0]), (), {}.get).diagnostics == ()


def test_json_has_the_documented_keys() -> None:
    outcome = traced(chain([1e-12, 1e-6, 1.0]), claim("saturating-stack", 10))
    data = json.loads(to_json(outcome))
    assert list(data) == [
        "schema_version", "script", "strategy", "steps", "device", "assumptions", "error", "graph", "verdicts",
        "diagnostics",
    ]  # fmt: skip
    assert set(data["graph"]) == {"nodes", "edges"}
    [verdict] = data["verdicts"]
    assert list(verdict) == ["code", "name", "filename", "location", "verdict", "value", "unit", "threshold", "reason"]
    assert verdict["location"] == {"row": 10, "column": 1}
    [diagnostic] = data["diagnostics"]
    assert set(diagnostic) == {
        "code", "name", "message", "severity", "confidence", "filename", "cell", "location", "end_location", "fix",
        "url", "related", "verdict",
    }  # fmt: skip


def test_failure_is_one_sentence_in_json() -> None:
    record = chain([])
    record["error"] = {"kind": "script-error", "message": "ValueError: no data", "place": None}
    outcome = traced(record, claim("missing-zero-grad", 10))
    assert outcome.failure == "ValueError: no data"
    assert to_data(outcome)["error"] == {"kind": "script-error", "message": "ValueError: no data"}
    [item] = outcome.diagnostics
    assert item.verdict is not None
    assert item.verdict.verdict == "inconclusive"
    assert "ValueError: no data" in item.verdict.reason


def test_invented_data_never_confirms_what_depends_on_data() -> None:
    record = chain([1.0, 1.0])
    record["optimizers"].append(
        {
            "id": 0, "class_name": "SGD", "module": "torch.optim.sgd", "groups": [], "used_but_not_held": [],
            "constructed": {"file": SCRIPT, "line": 12, "function": "<module>"},
            "held_but_unused": [], "steps": 2, "needs_closure": False,
        }
    )  # fmt: skip
    record["same_batch"].append({"optimizer": 0, "before": 1.0, "after": [50.0]})
    assert summary(traced(record, claim("high-learning-rate", 12))) == "1 confirmed"
    record["assumptions"].append({"kind": "synthetic-dataset", "message": "CIFAR10 is random", "affects": ["data"]})
    outcome = traced(record, claim("high-learning-rate", 12))
    assert summary(outcome) == "1 inconclusive"
    assert "CIFAR10 is random" in render(outcome)


def branched() -> TraceRecord:
    record = chain([1e-8, 1e-4, 1.0])
    record["nodes"].append(node(2, "skip", "Linear", 1e-4, local_gain=0.3))
    record["parameters"].append(parameter("skip.weight", [64, 64]))
    record["edges"] += [edge("fc1", "skip"), edge("skip", "fc3")]
    return record


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures_are_written(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    from gradlint.tracer.report.plot import draw

    path = tmp_path / f"flow.{suffix}"
    draw(traced(branched()), str(path))
    head = path.read_bytes()[:300]
    assert head.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in path.read_bytes()
    if suffix == "svg":
        assert "fc2 Linear" in path.read_text("utf-8")


def test_pictures_refuse_what_they_cannot_draw(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from gradlint.tracer.report.plot import draw

    with pytest.raises(TraceError, match=r"must end in \.png or \.svg"):
        draw(traced(branched()), str(tmp_path / "flow.pdf"))
    with pytest.raises(TraceError, match="no gradient was measured"):
        draw(traced(chain([])), str(tmp_path / "flow.png"))
