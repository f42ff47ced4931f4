"""The first module or operation that made a NaN or an infinity, forward or on the way back."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.schema import Node

DEPENDS_ON = frozenset({"data"})
SAID_BY = frozenset({"log-without-guard", "infinite-derivative-at-zero", "where-nan-gradient"})
UNIT = "values that are not finite"


def find(evidence: Evidence) -> Iterator[Observation]:
    """One finding for the earliest producer; a gradient that breaks in round k shows forward in round k + 1 only."""
    forward = [item for item in evidence.record["nonfinite"] if item["direction"] == "forward"]
    made = next((item for item in forward if item["input_finite"]), forward[0] if forward else None)
    broken = _first_broken_gradient(evidence)
    if broken is not None and (made is None or broken["round"] < made["round"]):
        gradient = broken["input_gradient"]
        count = 0 if gradient is None else gradient["nonfinite"]
        name = broken["fqn"] if broken["kind"] == "module" and broken["fqn"] else broken["class_name"]
        told = (
            f"the gradient of `{name}` holds {count} NaN or infinite values, though the gradient it received was finite"
        )
        place = broken["called"] or broken["constructed"]
        yield from observation(evidence, "non-finite", place, confirmed(told, count, UNIT, 0.0), layer=name)
    elif made is not None and _spreads(evidence):
        node = evidence.nodes.get(made["node"])
        name = made["node"] if node is None else node["fqn"] if node["kind"] == "module" else node["class_name"]
        place = made["place"] or (None if node is None else node["called"] or node["constructed"])
        source = "though its own input was finite" if made["input_finite"] else "first seen here"
        told = f"the output of `{name}` holds {made['count']} NaN or infinite values, {source}"
        yield from observation(evidence, "non-finite", place, confirmed(told, made["count"], UNIT, 0.0), layer=name)


def _spreads(evidence: Evidence) -> bool:
    """Whether a loss or a gradient at an OptimizerStep is not finite, or no loss was seen at all.

    An infinity that a softmax or a maximum takes up, as attention masks do with -inf, is meant.
    """
    losses = [item["value"] for item in (*evidence.backwards, *evidence.record["losses"]) if item["value"] is not None]
    gradients = [step["grad_nonfinite"] for parameter in evidence.trainable() for step in parameter["steps"]]
    return not losses or any(gradients) or not all(map(math.isfinite, losses))


def _first_broken_gradient(evidence: Evidence) -> Node | None:
    """The call nearest the loss, in the earliest round, that turned a finite gradient into one that is not.

    None where a GradScaler skipped such a step while it looked for its scale.
    """
    if any(event["skipped"] for event in evidence.scaler_steps):
        return None
    broken = [node for node in evidence.record["nodes"] if _breaks(node)]
    return min(broken, key=lambda node: (node["round"], -node["order"]), default=None)


def _breaks(node: Node) -> bool:
    before, after = node["output_gradient"], node["input_gradient"]
    return after is not None and after["nonfinite"] > 0 and (before is None or before["nonfinite"] == 0)
