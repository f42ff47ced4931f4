"""Does one Linear take the very output of another?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "pairs of Linear calls with nothing between them"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    linear = {
        node["id"]
        for node in evidence.record["nodes"]
        if node["round"] == 0 and node["is_leaf"] and node["class_name"] == "Linear"
    }
    here = {node["id"] for node in evidence.nodes_at(claim)} & linear
    if not here:
        return inconclusive("no Linear built on this line was called in the traced steps")
    pairs = [
        edge
        for edge in evidence.record["edges"]
        if edge["source"] in linear and edge["target"] in linear and {edge["source"], edge["target"]} & here
    ]
    if not pairs:
        return refuted("something stands between these Linear layers and their neighbours", 0.0, UNIT, 1.0)
    source, target = (evidence.nodes[pairs[0][end]]["fqn"] for end in ("source", "target"))
    return confirmed(f"`{target}` takes the output of `{source}` as it is", len(pairs), UNIT, 1.0)
