"""Does what is kept from one iteration to the next grow?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "live autograd nodes, last round over first"
THRESHOLD = 1.25


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    growth = evidence.record["growth"]
    if growth is None:
        return inconclusive("growth was not measured")
    alive = growth.get("live_nodes")
    counts = alive if isinstance(alive, list) and len(alive) > 1 else growth["graph_nodes"]
    if len(counts) < 2 or counts[0] <= 0:
        return inconclusive("fewer than two rounds were traced")
    ratio = counts[-1] / counts[0]
    if ratio >= THRESHOLD:
        told = f"{counts[0]} to {counts[-1]}"
        return confirmed(f"autograd nodes kept alive grow from {told} in {len(counts)} rounds", ratio, UNIT, THRESHOLD)
    if counts is not alive:
        return inconclusive(
            "the graph below the loss does not grow, and what else is kept was not counted", ratio, UNIT, THRESHOLD
        )
    return refuted(f"autograd nodes kept alive do not grow over {len(counts)} rounds", ratio, UNIT, THRESHOLD)
