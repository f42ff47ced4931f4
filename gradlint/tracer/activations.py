"""Activation calls with the layer they follow, named as the user knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from gradlint.tracer.evidence import Evidence
from gradlint.tracer.schema import Node, Place


class ActivationCall(TypedDict):
    """An activation in the first round: what it is, what it follows and where that was built, how much is off."""

    kind: str
    before: str
    place: Place | None
    units: int | None
    dead_units: int | None
    saturated_share: float | None


def activation_nodes(evidence: Evidence) -> Iterator[ActivationCall]:
    """Hidden activations that carry a gradient, in forward order; the output layer's own is left out."""
    sources: dict[str, list[str]] = {}
    for edge in evidence.record["edges"]:
        sources.setdefault(edge["target"], []).append(edge["source"])
    last = max((node["order"] for node in evidence.weight_nodes()), default=-1)
    for node in evidence.record["nodes"]:
        kind = node["activation_kind"]
        if node["round"] != 0 or kind is None or node["order"] > last or not node["grad_enabled"]:
            continue
        layer = _layer_before(evidence, node["id"], sources)
        yield {
            "kind": kind,
            "before": (layer and layer["fqn"]) or node["fqn"] or node["class_name"],
            "place": (layer and layer["constructed"]) or node["called"] or node["constructed"],
            "units": node["units"],
            "dead_units": node["dead_units"],
            "saturated_share": node["saturated_share"],
        }


def _layer_before(evidence: Evidence, activation: str, sources: dict[str, list[str]]) -> Node | None:
    """The nearest module that feeds the activation, through operations that are no module's own."""
    seen, waiting = {activation}, list(sources.get(activation, ()))
    while waiting:
        name = waiting.pop(0)
        node = evidence.nodes.get(name)
        if node is None or name in seen:
            continue
        if node["fqn"]:
            return node
        seen.add(name)
        waiting += sources.get(name, ())
    return None
