"""By how much is the accumulated gradient larger than that of the mean loss?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import BackwardEvent, Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "sum of the micro-batches' weights in one OptimizerStep"
THRESHOLD = 1.5
ODD = 10.0
"""A factor beyond this is no weight among others: what it is meant for cannot be told."""


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps = [step for step in evidence.steps_of(optimizer["id"]) if step["backwards"] > 1]
    if not steps:
        return inconclusive(f"{name_of(optimizer)} was not seen to accumulate over several backward calls")
    losses = {loss["id"]: loss for loss in evidence.record["losses"]}
    before = [event for event in evidence.backwards if event["order"] < steps[0]["order"]][-steps[0]["backwards"] :]
    weight = 0.0
    for event in before:
        loss = losses.get(event["loss"]) if event["loss"] is not None else None
        if loss is None or event["value"] is None or not loss["value"]:
            return inconclusive("the value of a loss could not be read")
        if loss["reduction"] not in ("mean", None):
            return inconclusive(f"the loss is reduced by {loss['reduction']}, so its sum may be meant")
        scale = _scale(evidence, event) if event["scaled"] else 1.0
        if not scale:
            return inconclusive("the factor of the GradScaler could not be read")
        weight += event["value"] / (scale * loss["value"])
    told = f"{len(before)} backward calls add up to {weight:.3g} mean gradients"
    if not 1.0 / ODD < weight < len(before) * ODD:
        return inconclusive(f"{told}: the loss has a factor of its own", weight, UNIT, THRESHOLD)
    return confirmed(told, weight, UNIT, THRESHOLD) if weight >= THRESHOLD else refuted(told, weight, UNIT, THRESHOLD)


def _scale(evidence: Evidence, backward: BackwardEvent) -> float | None:
    """The factor that GradScaler put on this loss: that of the scaler's next event."""
    after = [event for event in (*evidence.unscales, *evidence.scaler_steps) if event["order"] > backward["order"]]
    return min(after, key=lambda event: event["order"])["scale"] if after else None
