"""How far apart are the scores that the softmax of the attention gets?

Of T positions with independent normal scores of standard deviation s, a softmax spreads its weight over about
T exp(-s^2): more than a third of them up to s = 1.
"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import Node

UNIT = "standard deviation of the attention scores"
THRESHOLD = 1.0
FARTHEST = 4
MASK = 1e4


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    sources: dict[str, list[str]] = {}
    for edge in evidence.record["edges"]:
        sources.setdefault(edge["target"], []).append(edge["source"])
    kinds = [node for node in evidence.nodes.values() if node["activation_kind"] == "softmax" and node["round"] == 0]
    here = [node for node in kinds if claim.covers(node["called"]) or claim.covers(node["constructed"])]
    spreads = [spread for node in here if (spread := _spread(evidence, node, sources)) is not None]
    if not spreads:
        return inconclusive("the scores of no attention of this line were measured")
    spread = max(spreads)
    told = f"the scores have a standard deviation of {spread:.3g}"
    if spread > THRESHOLD:
        told += f": the softmax spreads over a share of about {math.exp(-(spread**2)):.1g} of the positions"
        return confirmed(told, spread, UNIT, THRESHOLD)
    return refuted(told, spread, UNIT, THRESHOLD)


def _spread(evidence: Evidence, softmax: Node, sources: dict[str, list[str]]) -> float | None:
    """Of the nearest finite scores: masks put -inf in."""
    here = softmax["id"]
    for _ in range(FARTHEST):
        before = [evidence.nodes[name] for name in sources.get(here, ()) if name in evidence.nodes]
        if not before:
            return None
        for node in before:
            seen = node["activation"]
            if seen is not None and not seen["nonfinite"] and seen["max_abs"] < MASK:
                return math.sqrt(max(0.0, seen["second_moment"] - seen["mean"] ** 2))
        here = before[0]["id"]
    return None
