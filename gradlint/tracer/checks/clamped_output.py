"""How much of the gradient does the clamp stop?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import Node

DEPENDS_ON = frozenset({"data", "loss"})
UNIT = "share of the squared gradient that the clamp stops"
THRESHOLD = 0.01
CLAMPS = ("Clamp", "Hardtanh", "Threshold", "Relu6", "Minimum", "Maximum", "Relu")


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    here = [node for node in evidence.nodes.values() if _is_clamp(node) and claim.covers(node["called"])]
    gains = [node["local_gain"] for node in here if node["local_gain"] is not None]
    if not gains:
        return inconclusive("no gradient through a clamp on this line was measured")
    lost = 1.0 - min(gains)
    told = f"the clamp stops {100.0 * max(lost, 0.0):.3g} % of the squared gradient"
    return confirmed(told, lost, UNIT, THRESHOLD) if lost > THRESHOLD else refuted(told, lost, UNIT, THRESHOLD)


def _is_clamp(node: Node) -> bool:
    return node["is_leaf"] and node["class_name"].startswith(CLAMPS)
