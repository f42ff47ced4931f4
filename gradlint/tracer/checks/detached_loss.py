"""How many of the parameters that should learn does the backward reach?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.reach import judge_reach

DEPENDS_ON = frozenset({"loss"})


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return judge_reach(evidence, claim)
