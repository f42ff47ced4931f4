"""A gradient that grows towards the first layers or into the past, or moves a layer by more than its size."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.facts.magnitudes import format_decades
from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence, Step
from gradlint.tracer.measure import decay, last_steps
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.schema import Node
from gradlint.tracer.vanishing import UNIT, describe

SAID_BY = frozenset({"init-scale", "init-activation-mismatch", "rnn-without-clipping", "high-learning-rate"})
NAME = "exploding-gradient"
DECADES = 3.0
JUMP = 1.0


def find(evidence: Evidence) -> Iterator[Observation]:
    for chain in evidence.chains(evidence.settled_round()):
        found = decay(chain)
        if found is None or found.decades < DECADES:
            continue
        if not (_is_clipped(evidence) and _is_repeated(evidence, found.first)):
            place = found.first["constructed"] or found.first["called"]
            verdict = confirmed(describe(found), found.decades, UNIT, DECADES)
            yield from observation(evidence, NAME, place, verdict, layer=found.first["fqn"])
    yield from _in_time(evidence)
    yield from _jumps(evidence)


def _in_time(evidence: Evidence) -> Iterator[Observation]:
    """Growth into the past, unless the gradient is clipped before the OptimizerStep."""
    if _is_clipped(evidence):
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


def _is_clipped(evidence: Evidence) -> bool:
    """Whether a gradient norm is clipped to a finite value before the OptimizerStep."""
    return any(
        event["with_gradient"] and event["since_step"] and math.isfinite(event["max_norm"]) for event in evidence.clips
    )


def _is_repeated(evidence: Evidence, layer: Node) -> bool:
    """Whether the layer runs once for each time step, so that its growth is one in time."""
    calls = [
        node for node in evidence.nodes.values() if node["round"] == layer["round"] and node["fqn"] == layer["fqn"]
    ]
    return len(calls) > 1


def _jumps(evidence: Evidence) -> Iterator[Observation]:
    """Weight matrices that one OptimizerStep changes by more than their own size: the worst on each line."""
    places: dict[tuple[str, int] | None, list[tuple[float, Step]]] = {}
    for item in last_steps(evidence):
        ratio, place = item.step["update_ratio"], item.parameter["constructed"]
        if ratio is not None and ratio > JUMP:
            line = None if place is None else (place["file"], place["line"])
            places.setdefault(line, []).append((ratio, item))
    for found in places.values():
        ratio, worst = max(found, key=lambda entry: entry[0])
        name = worst.parameter["name"]
        told = f"one OptimizerStep changes `{name}` by {ratio:.3g} times its own size"
        if len(found) > 1:
            told += f", and {len(found) - 1} more of this line by more than theirs"
        yield from observation(
            evidence,
            NAME,
            worst.parameter["constructed"],
            confirmed(told, ratio, "update over weight norm", JUMP),
            layer=name,
            depends=frozenset({"data"}),
        )
