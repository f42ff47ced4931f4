"""Did the operation of a claim give a value, or a gradient, that is not finite?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "values that are not finite"


def judge_finite(evidence: Evidence, claim: Claim) -> Verdict:
    """Confirmed by one NaN or infinity made on the claim's lines; a finite batch leaves the claim open."""
    made = [item for item in evidence.record["nonfinite"] if claim.covers(item["place"])]
    if made:
        what = "values" if made[0]["direction"] == "forward" else "gradients"
        return confirmed(f"{made[0]['count']} {what} here are NaN or infinite", made[0]["count"], UNIT, 0.0)
    broken = [
        node
        for node in evidence.record["nodes"]
        if claim.covers(node["called"]) and node["input_gradient"] is not None and node["input_gradient"]["nonfinite"]
    ]
    if broken and broken[0]["input_gradient"] is not None:
        count = broken[0]["input_gradient"]["nonfinite"]
        return confirmed(f"{count} gradients behind this line are NaN or infinite", count, UNIT, 0.0)
    if not evidence.backwards:
        return inconclusive("no backward was seen")
    return inconclusive(
        "values and gradients were finite on the traced batches, which another batch may change", 0.0, UNIT, 0.0
    )
