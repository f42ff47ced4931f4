"""How much of the gradient at the last time step is left at the first?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.facts.magnitudes import format_decades
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import Recurrent

UNIT = "decades of gradient amplitude, first time step over last"
DECADES = 3.0
SPREAD = 0.5


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_module(item, -claim.option("decades", DECADES)) for item in evidence.recurrent_at(claim)),
        otherwise="no recurrent module was called in the trace",
    )


def _of_module(item: Recurrent, limit: float) -> Verdict:
    slope = item["decades_per_step"]
    if slope is None:
        return inconclusive(f"the gradient of the input of `{item['fqn']}` was not measured")
    decades = slope * (item["time_steps"] - 1)
    told = f"the gradient through `{item['fqn']}` measured {format_decades(decades)} over {item['time_steps']} steps"
    if decades <= limit:
        return confirmed(told, decades, UNIT, limit)
    if decades <= limit + SPREAD:
        return inconclusive(f"{told}, within the spread of seeds of the threshold", decades, UNIT, limit)
    return refuted(told, decades, UNIT, limit)
