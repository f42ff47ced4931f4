"""Where in the order of the loop a clip ran."""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "backward calls between the last OptimizerStep and the clip"


def judge_order(evidence: Evidence, claim: Claim) -> Verdict:
    """Confirmed if a clip ran with no backward since the last OptimizerStep: it shortened nothing that is used."""
    clips = evidence.events_at(claim, evidence.clips)
    if not clips:
        return inconclusive("no clip was seen")
    late = [event for event in clips if event["since_step"] == 0]
    fewest = min(event["since_step"] for event in clips)
    if not late:
        return refuted("every clip ran between its backward and its OptimizerStep", fewest, UNIT, 1.0)
    seen = late[0]["with_gradient"]
    told = "it had no gradient to clip" if seen == 0 else "the gradients it clipped had already been used"
    return confirmed(
        f"{len(late)} of {len(clips)} clips ran outside backward and OptimizerStep: {told}", fewest, UNIT, 1.0
    )
