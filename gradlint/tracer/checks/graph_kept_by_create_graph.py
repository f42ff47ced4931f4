"""Do gradients that carry a graph, or activations that are kept, hold the graphs of earlier iterations?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "gradients that still carried a graph when the next backward began"
KEPT_UNIT = "earlier iterations of whose graph a living tensor holds a part"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    creating = [event for event in evidence.backwards if event["kind"] == "backward" and event["create_graph"]]
    growth = evidence.record["growth"]
    if len(creating) > 1:
        kept = max(event["kept_graphs"] for event in creating[1:])
        if kept:
            told = f"{kept} gradients still held the graph of an earlier backward when the next one began"
            return confirmed(told, kept, UNIT, 0.0)
        return refuted("no gradient held a graph when the next backward began", 0.0, UNIT, 0.0)
    if creating or growth is None or len(growth["graph_nodes"]) < 3:
        return inconclusive("too few iterations were traced")
    alive = growth["live_graphs"]
    if alive > 1:
        return confirmed(f"parts of the graphs of {alive} earlier iterations are still held", alive, KEPT_UNIT, 1.0)
    return refuted("the graph of every earlier iteration was released", alive, KEPT_UNIT, 1.0)
