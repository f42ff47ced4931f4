"""Does training go on writing into the storage that a kept state_dict shares?"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "relative change of the shared weights in one OptimizerStep"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    steps = [step for parameter in evidence.trainable() for step in parameter["steps"] if step["optimizer"] is not None]
    if not steps:
        return inconclusive("no OptimizerStep was seen")
    moved = [step for step in steps if step["version_moved"] and step["update_norm"] > 0.0]
    weight = math.sqrt(sum(step["weight_norm"] ** 2 for step in steps))
    change = math.sqrt(sum(step["update_norm"] ** 2 for step in steps)) / weight if weight else 0.0
    if not moved:
        return refuted("no OptimizerStep wrote into a parameter", change, UNIT, 0.0)
    written = f"the OptimizerStep writes {len(moved)} of {len(steps)} parameters in place"
    return confirmed(f"{written}, and the kept state_dict shares their storage", change, UNIT, 0.0)
