"""Sigmoid and tanh layers of which most outputs lie at their ends."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.activations import activation_nodes
from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation

SAID_BY = frozenset({"saturating-stack", "init-scale", "init-activation-mismatch", "unnormalised-input"})
DEPENDS_ON = frozenset({"data"})
UNIT = "share of outputs with a slope below a thousandth of the largest"
THRESHOLD = 0.5


def find(evidence: Evidence) -> Iterator[Observation]:
    for node in activation_nodes(evidence):
        share = node["saturated_share"]
        if node["kind"] not in ("sigmoid", "tanh") or share is None or share <= THRESHOLD:
            continue
        told = f"{share:.0%} of the {node['kind']} outputs after `{node['before']}` are saturated"
        yield from observation(
            evidence, "saturated-units", node["place"], confirmed(told, share, UNIT, THRESHOLD), layer=node["before"]
        )
