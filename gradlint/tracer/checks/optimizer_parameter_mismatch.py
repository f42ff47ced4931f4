"""Do gradients arrive at parameters that no optimizer holds, or does it hold only parameters that get none?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements, held
from gradlint.tracer.measure import name_of, unheld

UNIT = "share of the trained network's parameters that no optimizer holds"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    reached = [parameter for parameter in evidence.trainable() if parameter["reached"]]
    if not reached or not evidence.optimizers:
        return inconclusive("no backward reached a parameter while an optimizer existed")
    lost = unheld(evidence)
    share = elements(lost) / max(1, elements(reached))
    if lost:
        names = ", ".join(f"`{parameter['name']}`" for parameter in lost[:3])
        return confirmed(f"gradients arrive at {names} and no optimizer holds them", share, UNIT, 0.0)
    for optimizer in evidence.optimizers_at(claim):
        mine = [evidence.parameters[name] for name in held(optimizer) if name in evidence.parameters]
        if mine and evidence.steps_of(optimizer["id"]) and not any(parameter["reached"] for parameter in mine):
            return confirmed(f"no parameter that {name_of(optimizer)} holds receives a gradient", 1.0, UNIT, 0.0)
    return refuted("every parameter that receives a gradient is held by an optimizer", share, UNIT, 0.0)
