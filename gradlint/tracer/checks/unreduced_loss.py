"""What shape has the value that goes backward?"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loss"})
UNIT = "elements of the back-propagated value"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and "can be implicitly created only for scalar outputs" in error["message"]:
        sizes = [math.prod(event["shape"]) for event in evidence.backwards]
        return confirmed(f"the script stops: {error['message']}", sizes[-1] if sizes else None, UNIT, 1.0)
    events = evidence.events_at(claim, evidence.backwards)
    if not events:
        return inconclusive("no backward was seen")
    if not any(event["requires_grad"] for event in events):
        return confirmed("the back-propagated value is a constant", 0.0, UNIT, 1.0)
    if all(math.prod(event["shape"]) == 1 for event in events):
        return refuted("backward was called on one number that carries a graph", 1.0, UNIT, 1.0)
    return inconclusive("backward was given a gradient for every element", None, UNIT, 1.0)
