"""Is the step longer than the curvature allows, or does the loss rise on the same batch?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import worst
from gradlint.tracer.curvature import judge_step_length
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"data"})


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    verdicts = [judge_step_length(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)]
    return worst(
        [verdict for verdict in verdicts if verdict is not None], "neither curvature nor a second loss was measured"
    )
