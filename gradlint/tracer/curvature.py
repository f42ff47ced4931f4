"""Step length against curvature, and what the real step did to the loss on the same batch."""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Optimizer

UNIT = "learning rate times largest curvature"
LIMIT = 2.0
"""Gradient descent on a quadratic diverges above 2 / lambda_max."""


def judge_step_length(evidence: Evidence, optimizer: Optimizer) -> Verdict | None:
    """The verdict on one optimizer; None if nothing about its step length was measured."""
    sharp = max(
        (item["lr_lambda_max"] for item in evidence.record["curvature"] if _counts(item, optimizer["id"])), default=None
    )
    before, after = _same_batch(evidence, optimizer["id"])
    if sharp is None and after is None:
        return None
    rises = raises_loss(evidence, optimizer["id"])
    moved = (
        "" if after is None or before is None else f"; the loss on the same batch goes from {before:.3g} to {after:.3g}"
    )
    if sharp is not None and sharp > LIMIT:
        return confirmed(
            f"the step of {name_of(optimizer)} is longer than the curvature allows{moved}", sharp, UNIT, LIMIT
        )
    if rises and after is not None and before:
        ratio = after / before
        told = f"the OptimizerStep of {name_of(optimizer)} raises the loss on its own batch{moved}"
        return confirmed(told, ratio, "loss on the same batch, after over before", 1.0)
    if sharp is None:
        return refuted(f"the OptimizerStep of {name_of(optimizer)} lowers the loss on its own batch{moved}")
    if after is None and sharp > LIMIT / 2.0:
        return inconclusive(f"the step of {name_of(optimizer)} is near the limit", sharp, UNIT, LIMIT)
    return refuted(f"the step of {name_of(optimizer)} is within what the curvature allows{moved}", sharp, UNIT, LIMIT)


def raises_loss(evidence: Evidence, optimizer: int) -> bool:
    """Whether the real OptimizerSteps left the loss on their own batch higher, or not finite."""
    before, after = _same_batch(evidence, optimizer)
    return after is not None and before is not None and (not math.isfinite(after) or after > before)


def _counts(item: object, optimizer: int) -> bool:
    return isinstance(item, dict) and item["optimizer"] == optimizer and not item["message"]


def _same_batch(evidence: Evidence, optimizer: int) -> tuple[float | None, float | None]:
    for item in evidence.record["same_batch"]:
        if item["optimizer"] == optimizer and item["after"]:
            return item["before"], item["after"][-1]
    return None, None
