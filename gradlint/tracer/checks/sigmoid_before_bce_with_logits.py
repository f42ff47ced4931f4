"""Are the values given to BCE-with-logits already probabilities?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import came_from, losses_named
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "width of the range of the loss's input"
RATIO_UNIT = "gradient as written over the one on logits"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = losses_named(evidence, claim, "binary_cross_entropy_with_logits")
    return worst((_of_call(call) for call in calls), otherwise="no BCE-with-logits was called in the trace")


def _of_call(loss: LossCall) -> Verdict:
    seen = loss["input_range"]
    if seen is None:
        return inconclusive("the input of the loss was not measured")
    width = seen["maximum"] - seen["minimum"]
    ratio = loss["gradient_ratio"]
    cost = "" if ratio is None else f"; the gradient is {ratio:.2g} of the one on logits"
    if came_from(loss, "Sigmoid", "Softmax"):
        told = f"the loss receives a sigmoid's output in [{seen['minimum']:.2g}, {seen['maximum']:.2g}]"
        return confirmed(told + cost, ratio, RATIO_UNIT, 1.0)
    if seen["in_unit_interval"]:
        return inconclusive("all inputs of the loss lie in [0, 1], but no sigmoid made them", width, UNIT, 1.0)
    return refuted("the loss receives values outside [0, 1]", width, UNIT, 1.0)
