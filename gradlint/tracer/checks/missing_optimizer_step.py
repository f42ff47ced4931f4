"""Gradients arrive at an optimizer's parameters: does anybody step it?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of, reached_by_backward
from gradlint.tracer.schema import Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "OptimizerSteps"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps, backwards = optimizer["steps"], reached_by_backward(evidence, optimizer)
    if steps > 0:
        return refuted(f"{name_of(optimizer)} made an OptimizerStep", steps, UNIT, 1.0)
    if backwards == 0:
        return inconclusive(f"no backward reached the parameters of {name_of(optimizer)}", steps, UNIT, 1.0)
    others = max((other["steps"] for other in evidence.optimizers.values()), default=0)
    error = evidence.record["error"]
    if others >= 2 or (error is not None and error["kind"] == "no-step"):
        told = f"{backwards} backward call{'s' if backwards > 1 else ''} reached the parameters of {name_of(optimizer)}"
        return confirmed(f"{told} and it never made an OptimizerStep", steps, UNIT, 1.0)
    return inconclusive(f"the trace ended before {name_of(optimizer)} could step", steps, UNIT, 1.0)
