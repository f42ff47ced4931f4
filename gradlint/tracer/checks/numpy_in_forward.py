"""Does the backward get past the expression to the parameters before it?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.reach import judge_reach

DEPENDS_ON = frozenset({"loss"})


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return judge_reach(evidence, claim)
