"""Does any backward reach what the optimizer steps?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of, reached_by_backward
from gradlint.tracer.schema import Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "backward calls that reached the optimizer's parameters"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps, backwards = evidence.steps_of(optimizer["id"]), reached_by_backward(evidence, optimizer)
    if backwards > 0 or any(step["grad_norm"] for step in steps):
        return refuted(f"a backward reached the parameters of {name_of(optimizer)}", max(1, backwards), UNIT, 1.0)
    if not steps:
        return inconclusive(f"{name_of(optimizer)} made no OptimizerStep", 0.0, UNIT, 1.0)
    told = f"{len(steps)} OptimizerStep{'s' if len(steps) > 1 else ''} of {name_of(optimizer)}"
    return confirmed(f"{told} without a gradient: no backward reaches its parameters", 0.0, UNIT, 1.0)
