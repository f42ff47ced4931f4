"""Does a ReLU cut off outputs that the loss wants to be negative?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import came_from
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"data", "loss"})
UNIT = "share of outputs that the ReLU holds at 0"
LOGITS = ("cross_entropy", "binary_cross_entropy_with_logits")


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = [loss for loss in evidence.losses_at(claim) if loss["target"] is not None]
    if calls and not any(came_from(loss, "Relu") for loss in calls):
        return refuted("what the loss receives does not come from a ReLU", 0.0, UNIT, 0.0)
    cut = [loss for loss in calls if came_from(loss, "Relu")]
    return worst((_of_call(evidence, loss) for loss in cut), otherwise="no loss with a target was called in the trace")


def _of_call(evidence: Evidence, loss: LossCall) -> Verdict:
    node = evidence.nodes.get(loss["input_node"] or "")
    share = None if node is None or node["activation"] is None else node["activation"]["zero_share"]
    told = "" if share is None else f", and {100.0 * share:.3g} % of them are held at 0"
    if loss["name"] in LOGITS:
        return confirmed(f"the logits come from a ReLU{told}", share, UNIT, 0.0)
    wanted = loss["target_range"]
    if wanted is None:
        return inconclusive("the targets were not seen", share, UNIT, 0.0)
    if wanted["minimum"] < 0.0:
        return confirmed(f"targets down to {wanted['minimum']:.3g} against outputs of a ReLU{told}", share, UNIT, 0.0)
    return refuted(f"no target is below 0 ({wanted['minimum']:.3g} at least)", share, UNIT, 0.0)
