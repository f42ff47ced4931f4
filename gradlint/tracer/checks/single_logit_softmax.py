"""How many units does the softmax of the loss run over?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "units that the softmax runs over"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    names = ("cross_entropy", "nll_loss")
    return worst(
        (
            _of_call(loss)
            for loss in evidence.losses_at(claim)
            if loss["name"] in names or loss["fed_by_dim"] is not None
        ),
        otherwise="no loss over a softmax was called in the trace",
    )


def _of_call(loss: LossCall) -> Verdict:
    dimension = loss["class_dim"] if loss["fed_by_dim"] is None else loss["fed_by_dim"]
    if loss["input"] is None or dimension is None or dimension >= len(loss["input"]["shape"]):
        return inconclusive("the shape of the loss's input was not seen")
    units = loss["input"]["shape"][dimension]
    if units == 1:
        return confirmed("the softmax runs over one unit, so it is 1 whatever the weights are", units, UNIT, 2.0)
    return refuted(f"the softmax runs over {units} units", units, UNIT, 2.0)
