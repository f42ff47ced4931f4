"""Was there a gradient from a backward since the last OptimizerStep when the clip ran?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.clipping import judge_order
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return judge_order(evidence, claim)
