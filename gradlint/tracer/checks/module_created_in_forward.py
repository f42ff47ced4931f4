"""Is a layer built inside the forward, so that its parameters are held by nobody?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "share of the layer's parameters that any OptimizerStep moved"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    here = [parameter for parameter in evidence.parameters_at(claim) if parameter["requires_grad"]]
    if not here:
        return inconclusive("no module built on this line was used in the traced steps")
    moved = [parameter for parameter in here if any(step["version_moved"] for step in parameter["steps"])]
    share = len(moved) / len(here)
    if share == 1.0:
        return refuted("the layer's parameters were stepped by an optimizer", share, UNIT, 1.0)
    if any(parameter["optimizers"] for parameter in here) or not evidence.optimizer_steps:
        return inconclusive("no OptimizerStep of the layer's parameters was seen", share, UNIT, 1.0)
    return confirmed(f"`{here[0]['name']}` was built for this call, and no optimizer holds it", share, UNIT, 1.0)
