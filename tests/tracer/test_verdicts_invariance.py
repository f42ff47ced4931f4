"""Verdicts depend neither on the scale of the loss nor on the seed.

Two claims are about the scale itself and are left out: the learning rate of plain SGD, and the limit of a clip.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tracing import FIXTURES, trace

from gradlint.diagnostics import Diagnostic, Range, Severity
from gradlint.tracer.verdicts import attach, observe

SCALED = "import torch as t; b = t.Tensor.backward; t.Tensor.backward = lambda self, *a, **n: b(self * {}, *a, **n)\n"
SCRIPTS = [
    ("saturating-stack", "functional"),
    ("softmax-before-cross-entropy", "functional"),
    ("constant-init", "zero_head"),
    ("vanishing-gradient", "deep_tanh"),
    ("exploding-gradient", "in_time"),
]
CASES = [pytest.param(rule, form, kind, id=f"{rule}-{kind}") for rule, form in SCRIPTS for kind in ("buggy", "fixed")]


def said(rule: str, script: Path, expected: dict[str, str], seed: int = 0) -> str:
    """The verdict on the claim, or whether the tracer's own rule reports."""
    record = trace(script, seed=seed)
    if "reported" in expected:
        return str(any(item.finding.rule == rule for item in observe(record))).lower()
    lines = script.read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if expected["at"] in text)
    claim = Diagnostic("GL", rule, "claimed", Severity.WARNING, "medium", str(script), Range(line, 1, line, 2))
    verdict = attach([claim], record)[0].verdict
    assert verdict is not None
    return verdict.verdict


def expectation(rule: str, form: str, kind: str) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((FIXTURES / rule / "expected.yaml").read_text("utf-8"))[form][kind]
    return found


@pytest.mark.parametrize("factor", ["1e6", "1e-6"])
@pytest.mark.parametrize(("rule", "form", "kind"), CASES)
def test_scale_of_the_loss(tmp_path: Path, rule: str, form: str, kind: str, factor: str) -> None:
    expected = expectation(rule, form, kind)
    script = tmp_path / "train.py"
    script.write_text(SCALED.format(factor) + (FIXTURES / rule / f"{form}_{kind}.py").read_text("utf-8"), "utf-8")
    assert said(rule, script, expected) == str(expected.get("verdict", expected.get("reported"))).lower()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("rule", "form", "kind"), CASES)
def test_seed(rule: str, form: str, kind: str, seed: int) -> None:
    expected = expectation(rule, form, kind)
    script = FIXTURES / rule / f"{form}_{kind}.py"
    assert said(rule, script, expected, seed) == str(expected.get("verdict", expected.get("reported"))).lower()
