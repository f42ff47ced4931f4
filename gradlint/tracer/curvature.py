"""Step length against curvature, and what the real OptimizerSteps did to the loss.

Gradient descent on a quadratic diverges above lr lambda_max = 2, with heavy-ball momentum beta above 2 (1 + beta),
with Nesterov's above 2 (1 + beta) / (1 + 2 beta). Adam's limit for the preconditioned Hessian is
2 (1 + beta1) / (1 - beta1), 38 by default (Cohen et al. 2022, "Adaptive gradient methods at the edge of stability");
its preconditioner moves fast in the first steps, so for the Adam family the curvature alone decides nothing.
"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Curvature, Optimizer

UNIT = "learning rate times largest curvature"
LOSS_UNIT = "loss on the same batch, after over before"
MARGIN = 0.05
"""Share of the loss by which it must rise: dropout and rounding move it less."""
JUMP = 2.0
"""Factor by which the loss must rise where only different batches can be compared."""


def judge_step_length(evidence: Evidence, optimizer: Optimizer) -> Verdict | None:
    """The verdict on one optimizer; None if nothing about its step length was measured."""
    item = _curvature(evidence, optimizer["id"])
    before, after = _losses(evidence, optimizer["id"])
    if item is None and after is None:
        return None
    name, limit = name_of(optimizer), limit_of(optimizer)
    rises = raises_loss(evidence, optimizer["id"])
    moved = (
        "" if after is None or before is None else f"; the loss on the same batch goes from {before:.3g} to {after:.3g}"
    )
    if item is None:
        ratio = None if not before or after is None else after / before
        if rises:
            return confirmed(f"the OptimizerSteps of {name} raise the loss{moved}", ratio, LOSS_UNIT, 1.0 + MARGIN)
        return refuted(f"the OptimizerSteps of {name} lower the loss{moved}", ratio, LOSS_UNIT, 1.0 + MARGIN)
    sharp = item["lr_lambda_max"]
    if rises:
        return confirmed(f"the OptimizerSteps of {name} raise the loss{moved}", sharp, UNIT, limit)
    if sharp <= limit:
        return refuted(f"the step of {name} is within what the curvature allows{moved}", sharp, UNIT, limit)
    if item["preconditioned"] and after is not None:
        return refuted(f"the OptimizerSteps of {name} lower the loss{moved}", sharp, UNIT, limit)
    if after is None and not item["preconditioned"]:
        return confirmed(f"the step of {name} is longer than the curvature allows", sharp, UNIT, limit)
    return inconclusive(
        f"the step of {name} is longer than the curvature allows, yet it worked{moved}", sharp, UNIT, limit
    )


def exceeds_curvature(evidence: Evidence, optimizer: Optimizer) -> bool:
    """Whether lr lambda_max was measured above the optimizer's limit."""
    item = _curvature(evidence, optimizer["id"])
    return item is not None and item["lr_lambda_max"] > limit_of(optimizer)


def raises_loss(evidence: Evidence, optimizer: int) -> bool:
    """Whether the real OptimizerSteps left the loss clearly higher, or not finite.

    On the batch of the first step where that could be repeated; otherwise from the first to the last traced batch.
    """
    before, after = _losses(evidence, optimizer)
    if before is not None and after is not None:
        return not math.isfinite(after) or after - before > MARGIN * abs(before)
    held = {name for group in evidence.optimizers[optimizer]["groups"] for name in group["parameters"]}
    values = [
        event["value"] for event in evidence.backwards if held & set(event["reached"]) and event["value"] is not None
    ]
    if len(values) < 2:
        return False
    return not math.isfinite(values[-1]) or values[-1] > JUMP * values[0] > 0.0


def limit_of(optimizer: Optimizer) -> float:
    """lr lambda_max above which the optimizer diverges on a quadratic."""
    settings = optimizer["groups"][0]["settings"] if optimizer["groups"] else {}
    betas, momentum = settings.get("betas"), settings.get("momentum")
    if isinstance(betas, list) and betas and 0.0 <= betas[0] < 1.0:
        return 2.0 * (1.0 + betas[0]) / (1.0 - betas[0])
    if isinstance(momentum, float | int) and 0.0 < momentum < 1.0:
        nesterov = 1.0 + 2.0 * momentum if settings.get("nesterov") else 1.0
        return 2.0 * (1.0 + momentum) / nesterov
    return 2.0


def _curvature(evidence: Evidence, optimizer: int) -> Curvature | None:
    return next(
        (item for item in evidence.record["curvature"] if item["optimizer"] == optimizer and not item["message"]), None
    )


def _losses(evidence: Evidence, optimizer: int) -> tuple[float | None, float | None]:
    for item in evidence.record["same_batch"]:
        if item["optimizer"] == optimizer and item["after"]:
            return item["before"], item["after"][-1]
    return None, None
