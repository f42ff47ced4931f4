"""Does an OptimizerStep use a gradient that still holds the one of the step before?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "share of parameters stepped with a stale gradient"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps = [step for step in evidence.steps_of(optimizer["id"]) if step["count"] > 0]
    if not steps:
        return inconclusive(f"{name_of(optimizer)} did not make two OptimizerSteps")
    stale = [step for step in steps if step["stale"]]
    if not stale:
        return refuted(f"every gradient of {name_of(optimizer)} was cleared before the next backward", 0.0, UNIT, 0.0)
    step = stale[0]
    share = len(step["stale_parameters"]) / max(1, step["with_gradient"])
    told = f"OptimizerStep {step['count'] + 1} of {name_of(optimizer)} used gradients added to those of the step before"
    return confirmed(told, min(1.0, share), UNIT, 0.0)
