"""Does training go on writing into the storage that a kept state_dict shares?"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
AWAITS = frozenset({"state-dict"})
UNIT = "relative change of the kept weights in one OptimizerStep"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    taken = [event for event in evidence.events_at(claim, evidence.state_dicts) if event["aliased"] is not None]
    if not taken:
        return inconclusive("no OptimizerStep followed a call of state_dict in the trace")
    kept = [event for event in taken if event["alive_at_step"]]
    if not any(event["aliased"] for event in kept):
        told = "the kept state_dict is a copy" if kept else "the dict was not kept until the next OptimizerStep"
        return refuted(f"{told}, which training cannot change", 0.0, UNIT, 0.0)
    if not any(step["version_moved"] for parameter in evidence.trainable() for step in parameter["steps"]):
        return refuted("no OptimizerStep wrote into a parameter", 0.0, UNIT, 0.0)
    change = _change(evidence)
    told = "the kept state_dict shares its storage with the parameters, and one OptimizerStep changed them by"
    return confirmed(f"{told} {change:.1e} of their norm", change, UNIT, 0.0)


def _change(evidence: Evidence) -> float:
    steps = [step for parameter in evidence.trainable() for step in parameter["steps"] if step["optimizer"] is not None]
    weight = math.sqrt(sum(step["weight_norm"] ** 2 for step in steps))
    return (
        math.sqrt(sum(step["update_norm"] ** 2 for step in steps if step["version_moved"])) / weight if weight else 0.0
    )
