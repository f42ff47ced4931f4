"""Is a layer called, and does a gradient reach it?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements

UNIT = "share of the layer's parameters that no traced forward used"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    here = evidence.parameters_at(claim)
    if not here or not evidence.forwards:
        return inconclusive("no parameter of a layer built on this line was seen")
    idle = [parameter for parameter in here if not parameter["used"] and not parameter["reached"]]
    share = elements(idle) / max(1, elements(here))
    if idle:
        return confirmed(f"`{idle[0]['name']}` was used in no forward and received no gradient", share, UNIT, 0.0)
    return refuted("every layer built on this line was called", share, UNIT, 0.0)
