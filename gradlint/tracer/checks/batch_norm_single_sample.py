"""How many samples does batch normalisation get, and how many will be left for the last batch of an epoch?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "samples in a batch that reaches batch normalisation"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    limit = claim.option("batch_size", 1.0)
    error = evidence.record["error"]
    if error is not None and "Expected more than 1 value per channel" in error["message"]:
        return confirmed(f"the script stops: {error['message']}", 1.0, UNIT, limit)
    sizes = [
        node["inputs"][0]["shape"][0]
        for node in evidence.nodes.values()
        if "BatchNorm" in node["class_name"] and node["training"] and node["inputs"] and node["inputs"][0]["shape"]
    ]
    if not sizes:
        return inconclusive("no batch normalisation was called in train mode")
    smallest = min(sizes)
    if smallest <= limit:
        return confirmed(f"batch normalisation got batches of {smallest} in train mode", smallest, UNIT, limit)
    loaders = evidence.record["loaders"]
    here = [loader for loader in loaders if claim.covers(loader["constructed"])] or loaders
    left = [loader["samples"] % loader["batch_size"] for loader in here if not loader["drop_last"]]
    small = [count for count in left if 0 < count <= limit]
    if small:
        of = next(loader for loader in here if loader["samples"] % loader["batch_size"] in small)
        told = f"{of['samples']} samples in batches of {of['batch_size']} leave {small[0]} for the last batch"
        return confirmed(told, small[0], UNIT, limit)
    if not here:
        told = f"the smallest batch seen holds {smallest}, and no DataLoader tells what the last one holds"
        return inconclusive(told, smallest, UNIT, limit)
    return refuted(f"the smallest batch seen holds {smallest}, and the last one leaves no less", smallest, UNIT, limit)
