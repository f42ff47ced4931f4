"""Did the logarithm give an infinity?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.finite import judge_finite

DEPENDS_ON = frozenset({"data"})


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return judge_finite(evidence, claim)
