"""ReLU layers of which most units pass no gradient for any sample of the batch."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.activations import activation_nodes
from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation

SAID_BY = frozenset({"relu-on-output"})
DEPENDS_ON = frozenset({"data"})
UNIT = "share of units with zero slope for the whole batch"
THRESHOLD = 0.5
FEWEST_UNITS = 8


def find(evidence: Evidence) -> Iterator[Observation]:
    for node in activation_nodes(evidence):
        units, dead = node["units"], node["dead_units"]
        if not units or dead is None or units < FEWEST_UNITS or dead / units <= THRESHOLD:
            continue
        told = f"{dead} of {units} units after `{node['before']}` are off for every sample of the batch"
        yield from observation(
            evidence, "dead-units", node["place"], confirmed(told, dead / units, UNIT, THRESHOLD), layer=node["before"]
        )
