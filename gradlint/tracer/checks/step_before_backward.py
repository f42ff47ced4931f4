"""Did the first OptimizerStep come before any backward?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "backward calls before the first OptimizerStep"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps = evidence.steps_of(optimizer["id"])
    if not steps:
        return inconclusive(f"{name_of(optimizer)} made no OptimizerStep")
    before = steps[0]["backwards"]
    if before > 0 or steps[0]["closure"]:
        return refuted(f"a backward reached {name_of(optimizer)} before its first OptimizerStep", before, UNIT, 1.0)
    if not evidence.backwards:
        return inconclusive("no backward was seen at all", before, UNIT, 1.0)
    late = any(step["grad_norm"] for step in steps[1:])
    used = "later steps use the gradient of the iteration before" if late else "later steps find a cleared gradient"
    if len(steps) == 1:
        used = "it had no gradient to use"
    return confirmed(
        f"the first OptimizerStep of {name_of(optimizer)} came before any backward; {used}", before, UNIT, 1.0
    )
