"""How many of the parameters that should learn does the backward reach?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements, held

UNIT = "share of the trainable parameters that the backward reached"


def judge_reach(evidence: Evidence, claim: Claim) -> Verdict:
    """Confirmed if the backward misses parameters that the optimizer holds and the forward used, refuted if none."""
    events = evidence.events_at(claim, evidence.backwards)
    if not events:
        error = evidence.record["error"]
        if error is not None and "does not require grad" in error["message"]:
            return confirmed(f"the script stops: {error['message']}", 0.0, UNIT, 0.0)
        return inconclusive("no backward was seen")
    cut = [event for event in events if not event["requires_grad"]]
    if cut:
        return confirmed("backward was called on a value that carries no graph", 0.0, UNIT, 0.0)
    names = {name for event in events for name in event["reached"]}
    reached = [parameter for parameter in evidence.trainable() if parameter["name"] in names and parameter["owners"]]
    if not reached:
        return confirmed("backward was called and reached no parameter of any module", 0.0, UNIT, 0.0)
    fed = [
        optimizer
        for optimizer in evidence.optimizers.values()
        if any(name in names for name in held(optimizer)) or len(evidence.optimizers) == 1
    ]
    wanted = [
        parameter
        for parameter in evidence.trainable()
        if any(optimizer["id"] in parameter["optimizers"] for optimizer in fed) and parameter["used"]
    ]
    share = elements(reached) / max(1, elements(wanted or reached))
    if wanted and share < 0.999:
        lost = next((parameter["name"] for parameter in wanted if parameter["name"] not in names), "")
        return confirmed(f"the backward does not reach `{lost}`, which the optimizer holds", share, UNIT, 1.0)
    return refuted("the backward reached every parameter that the optimizer holds", min(1.0, share), UNIT, 1.0)
