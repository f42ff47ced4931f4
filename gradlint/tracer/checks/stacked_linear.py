"""Does one Linear take the very output of another?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "pairs of Linear calls with nothing between them but dropout"


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
        (source, target)
        for source in linear
        for target in _takers(evidence, source) & linear
        if {source, target} & here
    ]
    if not pairs:
        return refuted("something stands between these Linear layers and their neighbours", 0.0, UNIT, 1.0)
    source, target = (evidence.nodes[end]["fqn"] for end in pairs[0])
    return confirmed(f"`{target}` takes the output of `{source}` as it is", len(pairs), UNIT, 1.0)


def _takers(evidence: Evidence, source: str) -> set[str]:
    """The calls that take the output of `source`, as it is or through dropout."""
    direct = {edge["target"] for edge in evidence.record["edges"] if edge["source"] == source}
    dropouts = {node for node in direct if "Dropout" in evidence.nodes[node]["class_name"]}
    return direct.union(*(_takers(evidence, node) for node in dropouts))
