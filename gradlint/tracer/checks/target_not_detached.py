"""Does the target of the loss carry a graph of its own?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loss"})
UNIT = "share of the loss calls whose target requires grad"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = [loss for loss in evidence.losses_at(claim) if loss["target"] is not None]
    if not calls:
        return inconclusive("no loss with a target was called in the trace")
    attached = [loss for loss in calls if loss["target_requires_grad"]]
    share = len(attached) / len(calls)
    if attached:
        told = f"the target of {attached[0]['name']} requires grad: the backward goes through it as well"
        return confirmed(told, share, UNIT, 0.0)
    return refuted("no target of the loss carries a graph", share, UNIT, 0.0)
