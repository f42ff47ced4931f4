"""Over which dimension does the softmax before the loss run?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "dimension of the softmax, against that of the classes"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = [loss for loss in evidence.losses_at(claim) if loss["fed_by_dim"] is not None]
    return worst((_of_call(loss) for loss in calls), otherwise="no softmax was seen directly before a loss")


def _of_call(loss: LossCall) -> Verdict:
    dimension, classes = loss["fed_by_dim"], loss["class_dim"]
    if dimension is None or classes is None:
        return inconclusive("the dimension of the classes is not known for this loss")
    if dimension == classes:
        return refuted("the softmax runs over the classes", dimension, UNIT, classes)
    return confirmed(
        f"the softmax runs over dimension {dimension}, the classes are in {classes}", dimension, UNIT, classes
    )
