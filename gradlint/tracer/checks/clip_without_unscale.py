"""Did the gradients still carry the GradScaler's factor when they were clipped?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "factor on the gradients at the clip"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    clips = evidence.events_at(claim, evidence.clips)
    if not clips:
        return inconclusive("no clip was seen")
    if not any(event["scaled"] for event in evidence.backwards):
        return inconclusive("no backward was scaled in the trace: the GradScaler is disabled on this device")
    scaled = [event for event in clips if event["scaled"]]
    if scaled:
        scales = [event["scale"] for event in evidence.scaler_steps] or [2.0**16]
        return confirmed(
            f"the clip compared gradients multiplied by {scales[0]:g} with its limit", scales[0], UNIT, 1.0
        )
    return refuted("the gradients were unscaled before the clip", 1.0, UNIT, 1.0)
