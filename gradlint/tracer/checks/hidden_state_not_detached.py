"""Does the hidden state of one batch carry its graph into the next?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
UNIT = "autograd nodes below the loss, last round over first"
THRESHOLD = 1.25


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and "backward through the graph a second time" in error["message"]:
        return confirmed("the second backward went into the graph of the first batch", 2.0, UNIT, THRESHOLD)
    if error is not None and "modified by an inplace operation" in error["message"]:
        return confirmed(
            "the second backward went into the graph of the first batch, whose weights were stepped since",
            2.0,
            UNIT,
            THRESHOLD,
        )
    growth = evidence.record["growth"]
    sizes = [] if growth is None else growth["graph_nodes"]
    if len(sizes) < 2 or sizes[0] <= 0:
        return inconclusive("fewer than two batches were traced")
    ratio = sizes[-1] / sizes[0]
    if ratio >= THRESHOLD:
        told = f"{sizes[0]} to {sizes[-1]} nodes"
        return confirmed(
            f"the graph below the loss grows from {told} over {len(sizes)} batches", ratio, UNIT, THRESHOLD
        )
    return refuted(f"the graph below the loss stays at {sizes[-1]} nodes", ratio, UNIT, THRESHOLD)
