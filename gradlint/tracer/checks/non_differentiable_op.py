"""Does the backward get past the operation to the parameters before it?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import inconclusive
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.reach import judge_reach

DEPENDS_ON = frozenset({"loss"})


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    """Of one term of a loss, told with its backward, nothing is refuted by what the other terms reach."""
    verdict = judge_reach(evidence, claim)
    if len(claim.places) > 1 and verdict.verdict == "refuted":
        return inconclusive("other terms of the loss reach the parameters")
    return verdict
