"""Was the gradient gone when the OptimizerStep came?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "share of OptimizerSteps whose gradient had been cleared"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps = evidence.steps_of(optimizer["id"])
    if not steps:
        return inconclusive(f"{name_of(optimizer)} made no OptimizerStep")
    cleared = [step for step in steps if step["cleared_since_backward"] and not step["grad_norm"]]
    share = len(cleared) / len(steps)
    if cleared:
        told = f"{len(cleared)} of {len(steps)} OptimizerSteps of {name_of(optimizer)} found their gradient cleared"
        return confirmed(told, share, UNIT, 0.0)
    if any(step["grad_norm"] for step in steps):
        return refuted(f"{name_of(optimizer)} found its gradient at every OptimizerStep", share, UNIT, 0.0)
    return inconclusive(f"{name_of(optimizer)} never had a gradient", share, UNIT, 0.0)
