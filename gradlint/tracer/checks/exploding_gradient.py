"""A gradient that grows towards the first layers or into the past, or moves a layer by more than its size."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.facts.signal import format_decades
from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.measure import decay, last_steps
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.vanishing import UNIT, describe

NAME = "exploding-gradient"
DECADES = 3.0
JUMP = 1.0


def find(evidence: Evidence) -> Iterator[Observation]:
    for chain in evidence.chains(evidence.settled_round()):
        found = decay(chain)
        if found is not None and found.decades >= DECADES:
            place = found.first["constructed"] or found.first["called"]
            verdict = confirmed(describe(found), found.decades, UNIT, DECADES)
            yield from observation(evidence, NAME, place, verdict, layer=found.first["fqn"])
    yield from _in_time(evidence)
    yield from _jumps(evidence)


def _in_time(evidence: Evidence) -> Iterator[Observation]:
    """Growth into the past, unless the gradient is clipped before the OptimizerStep."""
    if any(
        event["with_gradient"] and event["since_step"] and math.isfinite(event["max_norm"]) for event in evidence.clips
    ):
        return
    for item in evidence.record["recurrent"]:
        slope, node = item["decades_per_step"], evidence.nodes.get(item["node"])
        if slope is None or node is None or node["round"] > 0:
            continue
        decades = slope * (item["time_steps"] - 1)
        if decades >= DECADES:
            told = (
                f"the gradient through `{item['fqn']}` grows by {10.0**slope:.3g} a time step, "
                f"{format_decades(decades)} over {item['time_steps']} steps"
            )
            verdict = confirmed(told, decades, "decades of gradient amplitude, first time step over last", DECADES)
            yield from observation(evidence, NAME, node["constructed"] or node["called"], verdict, layer=item["fqn"])


def _jumps(evidence: Evidence) -> Iterator[Observation]:
    """Weight matrices that one OptimizerStep changes by more than their own size."""
    for item in last_steps(evidence):
        name, ratio = item.parameter["name"], item.step["update_ratio"]
        place = item.parameter["constructed"]
        if ratio is not None and ratio > JUMP:
            told = f"one OptimizerStep changes `{name}` by {ratio:.3g} times its own size"
            verdict = confirmed(told, ratio, "update over weight norm", JUMP)
            yield from observation(evidence, NAME, place, verdict, layer=name)
