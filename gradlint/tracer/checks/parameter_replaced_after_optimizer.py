"""Does the optimizer hold parameters that are in no module any more, while their successors are held by nobody?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence, elements, held
from gradlint.tracer.measure import name_of, unheld
from gradlint.tracer.schema import Optimizer

UNIT = "share of the optimizer's parameters that the network no longer uses"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    mine = [evidence.parameters[name] for name in held(optimizer) if name in evidence.parameters]
    if not mine or not evidence.backwards:
        return inconclusive(f"no backward was seen for {name_of(optimizer)}")
    left = [parameter for parameter in mine if not parameter["reached"] and parameter["requires_grad"]]
    share = elements(left) / max(1, elements(mine))
    successors = unheld(evidence)
    if left and successors:
        names = ", ".join(f"`{parameter['name']}`" for parameter in successors[:3])
        return confirmed(
            f"{name_of(optimizer)} holds the parameters replaced by {names}, which nobody steps", share, UNIT, 0.0
        )
    if left:
        return inconclusive(f"{name_of(optimizer)} holds parameters that no backward reached", share, UNIT, 0.0)
    return refuted(f"{name_of(optimizer)} holds the parameters that the network uses", share, UNIT, 0.0)
