"""Are the units of a layer alike, and does the gradient keep them alike?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.symmetry import identical_units, rows_alike

UNIT = "share of identical rows in a weight gradient"
THRESHOLD = 0.99


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    here = [parameter for parameter in evidence.parameters_at(claim) if parameter["requires_grad"]]
    alike = identical_units(evidence, here) or identical_units(evidence, evidence.trainable())
    if alike:
        share = rows_alike(alike[0])
        return confirmed(
            f"all units of `{alike[0]['name']}` have the same weights and the same gradient", share, UNIT, THRESHOLD
        )
    candidates = [p for p in here or evidence.trainable() if p["identical_rows"] is not None and len(p["shape"]) >= 2]
    if not candidates:
        return inconclusive("no weight gradient of this layer was measured")
    share = max(rows_alike(parameter) for parameter in candidates)
    return refuted("the units receive different gradients", share, UNIT, THRESHOLD)
