"""Verdicts that rest on a magnitude depend neither on the scale of the loss nor on the seed.

Three claims are about the scale itself and are left out: the learning rate of plain SGD, the limit of a clip, and the
factor on an accumulated loss, which is held over seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tracing import FIXTURES, trace

from gradlint.diagnostics import Diagnostic, Range, Severity
from gradlint.tracer.verdicts import attach, awaited, observe

ABOUT_SCALE = "accumulation-without-scaling"
MAGNITUDES = [
    "accumulation-without-scaling",
    "aliased-state-dict",
    "clamped-output",
    "constant-init",
    "dead-units",
    "deep-plain-stack",
    "default-init-deep",
    "exploding-gradient",
    "identical-units",
    "init-activation-mismatch",
    "init-scale",
    "missing-zero-grad",
    "non-finite",
    "rnn-without-clipping",
    "saturated-units",
    "saturating-stack",
    "sigmoid-before-bce-with-logits",
    "softmax-before-cross-entropy",
    "unchecked-autograd-function",
    "unnormalised-input",
    "unscaled-attention",
    "vanilla-rnn-long-sequence",
    "vanishing-gradient",
    "zero-grad-before-step",
]
CASES = [
    pytest.param(rule, FIXTURES / rule / f"{form}_{kind}.py", expected, id=f"{rule}-{form}-{kind}")
    for rule in MAGNITUDES
    for form, kinds in yaml.safe_load((FIXTURES / rule / "expected.yaml").read_text("utf-8")).items()
    for kind, expected in kinds.items()
    if kind != "why" and expected
]


def said(rule: str, script: Path, expected: dict[str, object], **variation: float) -> dict[str, object]:
    """The verdict on the claim, or whether the tracer's own rule reports, in the form of the expectation."""
    record = trace(script, awaited=tuple(sorted(awaited([rule]))), **variation)
    if "reported" in expected:
        return {"reported": any(item.finding.rule == rule for item in observe(record))}
    lines = script.read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if str(expected["at"]) in text)
    claim = Diagnostic("GL", rule, "claimed", Severity.WARNING, "medium", str(script), Range(line, 1, line, 2))
    verdict = attach([claim], record)[0].verdict
    assert verdict is not None
    return {"at": expected["at"], "verdict": verdict.verdict}


@pytest.mark.parametrize(("scale", "seed"), [(1e6, 1), (1e-6, 2)])
@pytest.mark.parametrize(("rule", "script", "expected"), CASES)
def test_scale_of_the_loss_and_seed(
    rule: str, script: Path, expected: dict[str, object], scale: float, seed: int
) -> None:
    if rule == ABOUT_SCALE:
        assert said(rule, script, expected, seed=seed) == expected
        expected = {**expected, "verdict": "inconclusive"}
    assert said(rule, script, expected, seed=seed, scale=scale) == expected
