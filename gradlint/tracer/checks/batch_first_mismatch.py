"""Which axis of the recurrent or attention layer's input has the size of the batch?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import Node

UNIT = "axis of the input that has the size of the batch"
HIDDEN = ("Expected hidden size", "Expected hidden[0] size")


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and any(text in error["message"] for text in HIDDEN):
        return confirmed(f"the script stops: {error['message']}")
    calls = [node for node in evidence.nodes_at(claim) if isinstance(node["settings"].get("batch_first"), bool)]
    return worst((_of_call(evidence, node) for node in calls), otherwise="no layer built on this line was called")


def _of_call(evidence: Evidence, node: Node) -> Verdict:
    shape = node["inputs"][0]["shape"] if node["inputs"] else []
    if len(shape) != 3:
        return inconclusive(f"`{node['fqn']}` was called with an input of {len(shape)} axes")
    expected = 0 if node["settings"]["batch_first"] else 1
    sizes = _batch_sizes(evidence)
    found = [axis for axis in (0, 1) if shape[axis] in sizes]
    told = f"`{node['fqn']}` gets {tuple(shape)} and takes axis {expected} for the batch"
    if len(found) != 1:
        return inconclusive(f"{told}; the batch is of {' or '.join(map(str, sorted(sizes))) or 'unknown size'}")
    if found[0] == expected:
        return refuted(f"{told}, which has its size", found[0], UNIT, expected)
    return confirmed(f"{told}, but the batch of {shape[found[0]]} is on axis {found[0]}", found[0], UNIT, expected)


def _batch_sizes(evidence: Evidence) -> set[int]:
    """What the loaders say, else the length of the loss's targets that are one number a sample."""
    loaders = {loader["batch_size"] for loader in evidence.record["loaders"]}
    targets = [loss["target"] for loss in evidence.record["losses"] if loss["target"] is not None]
    return loaders or {target["shape"][0] for target in targets if len(target["shape"]) == 1}
