"""Does the optimizer hold anything that can be trained?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence, elements, held
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Optimizer

UNIT = "share of the optimizer's parameters that are frozen"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    mine = [evidence.parameters[name] for name in held(optimizer) if name in evidence.parameters]
    if not mine:
        return inconclusive(f"{name_of(optimizer)} holds no parameter")
    frozen = [parameter for parameter in mine if not parameter["requires_grad"]]
    share = elements(frozen) / max(1, elements(mine))
    if len(frozen) == len(mine):
        return confirmed(f"every parameter of {name_of(optimizer)} has requires_grad off", share, UNIT, 1.0)
    return refuted(f"{name_of(optimizer)} holds parameters that require grad", share, UNIT, 1.0)
