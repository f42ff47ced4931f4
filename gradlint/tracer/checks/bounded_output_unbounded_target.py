"""Do the targets lie outside what the last activation can reach?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import came_from
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"data", "loss"})
UNIT = "distance of the farthest target from the range of the output"
RANGES = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Hardtanh": (-1.0, 1.0)}


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = [loss for loss in evidence.losses_at(claim) if loss["target_range"] is not None]
    return worst((_of_call(loss) for loss in calls), otherwise="no loss with a target was called in the trace")


def _of_call(loss: LossCall) -> Verdict:
    given, wanted = loss["input_range"], loss["target_range"]
    name = next((name for name in RANGES if came_from(loss, name)), None)
    if given is None or wanted is None:
        return inconclusive("the values of the loss's arguments were not seen")
    if name is None:
        return inconclusive("what feeds the loss is not a bounded activation itself")
    low, high = RANGES[name]
    outside = max(0.0, low - wanted["minimum"], wanted["maximum"] - high)
    told = f"targets from {wanted['minimum']:.3g} to {wanted['maximum']:.3g} against an output in [{low:g}, {high:g}]"
    return confirmed(told, outside, UNIT, 0.0) if outside > 0.0 else refuted(told, outside, UNIT, 0.0)
