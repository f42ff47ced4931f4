"""Does the hand-written update stop the script, or leave the parameters as they were?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "parameters written between two backward calls"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and claim.covers(error["place"]):
        return confirmed(f"the script stops: {error['message']}", 0.0, UNIT, 0.0)
    written = [event["written"] for event in evidence.backwards if event["written"] is not None]
    if not written:
        return inconclusive("no second backward through the same parameters was seen")
    moved = max(written)
    if moved == 0:
        return confirmed("no parameter changed between one backward and the next", 0.0, UNIT, 0.0)
    return refuted(f"{moved} parameters changed between one backward and the next", moved, UNIT, 0.0)
