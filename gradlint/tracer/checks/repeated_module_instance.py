"""Is one module instance called several times in one forward?"""

from __future__ import annotations

from collections import Counter

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

UNIT = "calls of one instance in one forward"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    built = {parameter["name"] for parameter in evidence.parameters_at(claim)}
    users = {node for name in built for node in evidence.parameters[name]["nodes"]}
    nodes = [evidence.nodes[node] for node in users if node in evidence.nodes]
    if not nodes:
        nodes = [node for node in evidence.nodes_at(claim) if node["parameters"]]
    nodes = [node for node in nodes if node["kind"] == "module" and not node["recomputed"]]
    if not nodes:
        return inconclusive("no module built on this line was called in the traced steps")
    tensors = Counter(tuple(sorted(node["parameters"])) for node in nodes if node["round"] == 0)
    name, calls = tensors.most_common(1)[0]
    told = f"`{name[0].rpartition('.')[0]}`" if name else f"`{nodes[0]['fqn']}`"
    if calls > 1:
        return confirmed(f"{told} is one instance called {calls} times with the same weights", calls, UNIT, 2.0)
    return refuted("every layer built on this line is called once, with weights of its own", calls, UNIT, 2.0)
