"""Did the clip or the optimizer see any parameter?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, held

DEPENDS_ON = frozenset({"loop"})
UNIT = "parameters seen by the second use"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and "empty parameter list" in error["message"]:
        return confirmed(f"the script stops: {error['message']}", 0.0, UNIT, 1.0)
    clips = evidence.events_at(claim, evidence.clips)
    empty = [event for event in clips if event["parameters"] == 0]
    if empty:
        return confirmed("the clip was given an empty iterator", 0.0, UNIT, 1.0)
    if clips:
        return refuted("the clip saw its parameters", clips[0]["parameters"], UNIT, 1.0)
    optimizers = evidence.optimizers_at(claim)
    if any(not held(optimizer) for optimizer in optimizers):
        return confirmed("the optimizer holds no parameter", 0.0, UNIT, 1.0)
    return inconclusive("no second use of the parameters was seen")
