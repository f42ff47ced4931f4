"""By how many decades does the gradient shrink or grow over the stack?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.vanishing import judge_change


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return judge_change(evidence, claim)
