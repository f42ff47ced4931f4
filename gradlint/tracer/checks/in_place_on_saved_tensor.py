"""Does the backward find a tensor changed that it had saved?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

ERRORS = ("modified by an inplace operation", "a leaf Variable that requires grad", "is being used in an in-place")


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and any(text in error["message"] for text in ERRORS):
        return confirmed(f"the script stops: {error['message']}")
    if any(event["reached"] for event in evidence.backwards):
        return refuted("the backward went through: no saved tensor was changed before it")
    return inconclusive("no backward reached a parameter")
