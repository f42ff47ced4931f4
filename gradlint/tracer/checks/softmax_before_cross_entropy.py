"""Are the rows given to cross-entropy already probabilities?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import came_from, is_log_probabilities, is_probabilities, losses_named
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "share of rows that sum to 1"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = losses_named(evidence, claim, "cross_entropy")
    return worst((_of_call(call) for call in calls), otherwise="no cross-entropy was called in the trace")


def _of_call(loss: LossCall) -> Verdict:
    seen = loss["input_range"]
    if seen is None:
        return inconclusive("the input of the loss was not measured")
    ratio = loss["gradient_ratio"]
    cost = "" if ratio is None else f"; the gradient is {ratio:.2g} of the one on logits"
    if is_probabilities(seen) or came_from(loss, "Softmax"):
        return confirmed(f"the loss receives rows that sum to 1{cost}", seen["rows_sum_to_one"], UNIT, 0.99)
    if is_log_probabilities(seen):
        told = "the loss receives log-probabilities, which a second log_softmax leaves as they are"
        return refuted(told, seen["rows_sum_to_one"], UNIT, 0.99)
    return refuted("the loss receives logits", seen["rows_sum_to_one"], UNIT, 0.99)
