"""Does a second backward ever walk the graph that was retained?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import BackwardEvent

DEPENDS_ON = frozenset({"loop"})
UNIT = "later backward calls over the retained graph"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    everyone = evidence.backwards
    kept = [event for event in evidence.events_at(claim, everyone) if event["retain_graph"]]
    if not kept:
        return inconclusive("no backward with retain_graph was seen")
    if not any(event["order"] > kept[0]["order"] for event in everyone):
        return inconclusive("the trace ended with the retaining backward")
    again = sum(
        1 for event in kept for later in everyone if later["order"] > event["order"] and _over(evidence, event, later)
    )
    growth = evidence.record["growth"]
    if again:
        return refuted("a later backward goes over the retained graph", again, UNIT, 1.0)
    if (
        growth is not None
        and len(growth["graph_nodes"]) > 1
        and growth["graph_nodes"][-1] > 1.2 * growth["graph_nodes"][0]
    ):
        told = f"{growth['graph_nodes'][0]} to {growth['graph_nodes'][-1]} nodes"
        return confirmed(f"no second loss needs the retained graph, and it grows from {told}", again, UNIT, 1.0)
    size = kept[0]["saved_bytes"]
    cost = f"{size / 2**20:.3g} MiB stay" if size else f"{kept[0]['graph_nodes']} graph nodes stay"
    return confirmed(f"no later backward goes over the retained graph; {cost} allocated for nothing", again, UNIT, 1.0)


def _over(evidence: Evidence, event: BackwardEvent, later: BackwardEvent) -> bool:
    """Whether both reached parameters of a network that was not called again in between."""
    common = set(event["reached"]) & set(later["reached"])
    roots = {evidence.parameters[name]["root"] for name in common if name in evidence.parameters}
    root_of = {(node["fqn"], node["class_name"]): node["root"] for node in evidence.record["nodes"]}
    called = {
        root_of.get((forward["fqn"], forward["class_name"]))
        for forward in evidence.forwards
        if event["order"] < forward["order"] < later["order"]
    }
    return None not in called and bool(roots - called)
