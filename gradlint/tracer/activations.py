"""Activation calls with the layer they follow, named as the user knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from gradlint.tracer.evidence import Evidence
from gradlint.tracer.schema import Place


class ActivationCall(TypedDict):
    """An activation in the first round: what it is, what it follows and how much of it is off."""

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
        feeding = [evidence.nodes[name] for name in sources.get(node["id"], ()) if name in evidence.nodes]
        before = next((item["fqn"] for item in feeding if item["fqn"]), node["fqn"] or node["class_name"])
        yield {
            "kind": kind,
            "before": before,
            "place": node["called"] or node["constructed"],
            "units": node["units"],
            "dead_units": node["dead_units"],
            "saturated_share": node["saturated_share"],
        }
