"""Does BCE receive values that are no probabilities?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import came_from, losses_named
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "distance of the loss's input from [0, 1]"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and "between 0 and 1" in error["message"]:
        return confirmed(f"the script stops: {error['message']}")
    calls = losses_named(evidence, claim, "binary_cross_entropy")
    return worst((_of_call(call) for call in calls), otherwise="no BCE was called in the trace")


def _of_call(loss: LossCall) -> Verdict:
    seen = loss["input_range"]
    if seen is None:
        return inconclusive("the input of the loss was not measured")
    outside = max(0.0, -seen["minimum"], seen["maximum"] - 1.0)
    if not seen["in_unit_interval"]:
        return confirmed(
            f"the loss receives values from {seen['minimum']:.2g} to {seen['maximum']:.2g}", outside, UNIT, 0.0
        )
    if came_from(loss, "Sigmoid", "Softmax", "Clamp"):
        return refuted("the loss receives the output of a sigmoid", outside, UNIT, 0.0)
    return inconclusive("this batch lies in [0, 1], but nothing bounds it there", outside, UNIT, 0.0)
