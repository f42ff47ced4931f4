"""Do gradients arrive at parameters that no optimizer holds?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements
from gradlint.tracer.measure import unheld

UNIT = "share of the trained network's parameters that no optimizer holds"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    reached = [parameter for parameter in evidence.trainable() if parameter["reached"]]
    if not reached or not evidence.optimizers:
        return inconclusive("no backward reached a parameter while an optimizer existed")
    lost = unheld(evidence)
    share = elements(lost) / max(1, elements(reached))
    if lost:
        told = f"gradients arrive at `{lost[0]['name']}`, which no optimizer holds"
        return confirmed(told, share, UNIT, 0.0)
    return refuted("every parameter that receives a gradient is held by an optimizer", share, UNIT, 0.0)
