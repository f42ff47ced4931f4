"""Do living tensors still hold the graphs of earlier iterations?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "earlier iterations whose graph a living tensor still holds"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    growth = evidence.record["growth"]
    if growth is None or len(growth["graph_nodes"]) < 2:
        return inconclusive("fewer than two rounds were traced")
    alive = growth["live_losses"]
    rounds = len(growth["graph_nodes"])
    if alive == 1 and not growth["holders"]:
        return inconclusive("one earlier graph is held, by nothing that the script names", alive, UNIT, 0.0)
    if alive:
        names = ", ".join(f"`{name}`" for name in growth["holders"])
        holder = f" by {names}" if names else ""
        return confirmed(
            f"the graphs of {alive} of {rounds - 1} earlier iterations are still held{holder}", alive, UNIT, 0.0
        )
    return refuted("the graph of every earlier iteration was released", alive, UNIT, 0.0)
