"""Could the clip's limit ever act on the gradients that were measured?"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "gradient norm over the clip's limit"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    clips = [event for event in evidence.events_at(claim, evidence.clips) if event["with_gradient"] > 0]
    if not clips:
        return inconclusive("no clip of a gradient was seen")
    limit = clips[0]["max_norm"]
    if not math.isfinite(limit):
        return confirmed("the limit is infinite, so no gradient is ever clipped", 0.0, UNIT, 1.0)
    if limit <= 0.0:
        return confirmed("the limit is not positive: every gradient becomes zero or turns round", None, UNIT, 1.0)
    norms = [event["norm_before"] for event in clips if event["norm_before"] is not None]
    if not norms:
        return inconclusive("the norm at the clip was not measured")
    ratio = max(norms) / limit
    if ratio < 1e-2:
        return confirmed(
            f"the largest norm is {max(norms):.3g}, the limit {limit:g}: the clip does nothing", ratio, UNIT, 1.0
        )
    if ratio > 1.0:
        return refuted(f"the clip shortened a gradient of norm {max(norms):.3g} to {limit:g}", ratio, UNIT, 1.0)
    return refuted(f"the limit {limit:g} is within reach of the measured norm {max(norms):.3g}", ratio, UNIT, 1e-2)
