"""Are the targets of the regression loss names of classes?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import losses_named
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"data", "loss"})
UNIT = "share of target rows that are one-hot"
VALUES_UNIT = "distinct values of the targets, all whole numbers"
MOST_CLASSES = 64


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = losses_named(evidence, claim, "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
    return worst((_of_call(loss) for loss in calls), otherwise="no regression loss was called in the trace")


def _of_call(loss: LossCall) -> Verdict:
    seen, values = loss["target_range"], loss["target_values"]
    if seen is None or loss["target"] is None:
        return inconclusive("the target of the loss was not seen")
    low, high = seen["minimum"], seen["maximum"]
    if values is None:
        return refuted(f"the targets, from {low:.3g} to {high:.3g}, are no whole numbers", 0.0, UNIT, 0.99)
    if values == 2 and seen["in_unit_interval"] and seen["rows_sum_to_one"] >= 0.99:
        return confirmed("every row of the target is one-hot", seen["rows_sum_to_one"], UNIT, 0.99)
    if low >= 0.0 and 1 < values <= MOST_CLASSES and high < MOST_CLASSES:
        told = f"the targets are {values} whole numbers from {low:g} to {high:g}"
        return confirmed(told, values, VALUES_UNIT, MOST_CLASSES)
    return inconclusive(f"the targets are whole numbers from {low:g} to {high:g}", values, VALUES_UNIT, MOST_CLASSES)
