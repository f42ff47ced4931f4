"""A network whose first layers get next to nothing of the gradient, or a layer that hardly moves beside the others."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.measure import decay, last_steps
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.vanishing import UNIT, describe

DECADES = 4.0
SLOW = -6.0
SLOW_UNIT = "log10 of update/weight ratio over the largest layer's"


def find(evidence: Evidence) -> Iterator[Observation]:
    seen: set[int] = set()
    for chain in evidence.chains(evidence.shown_round()):
        found = decay(chain)
        if found is None or found.decades > -DECADES:
            continue
        seen.add(found.first["root"])
        culprit = evidence.culprit(chain)
        told = describe(found)
        if culprit is not None:
            told += f"; the smallest local gain is at `{culprit['fqn'] or culprit['class_name']}`"
        shown = culprit or found.first
        place = shown["constructed"] or (shown["called"] if shown["kind"] == "function" else None)
        place = place or found.first["constructed"] or found.first["called"]
        verdict = confirmed(told, found.decades, UNIT, -DECADES)
        yield from observation(evidence, "vanishing-gradient", place, verdict, layer=found.first["fqn"])
    yield from _slow(evidence, seen)


def _slow(evidence: Evidence, seen: set[int]) -> Iterator[Observation]:
    """Layers that move a million times less than the fastest one, whatever the loss is multiplied by."""
    ratios = {
        item.parameter["name"]: item.step["update_ratio"]
        for item in last_steps(evidence)
        if item.step["update_ratio"] and item.step["grad_norm"] and item.parameter["root"] not in seen
    }
    largest = max(ratios.values(), default=None)
    if largest is None:
        return
    for name, ratio in ratios.items():
        decades = math.log10(ratio / largest)
        if decades <= SLOW:
            told = f"`{name}` moves by {ratio:.1e} of its size in an OptimizerStep, the fastest layer by {largest:.1e}"
            place = evidence.parameters[name]["constructed"]
            verdict = confirmed(told, decades, SLOW_UNIT, SLOW)
            yield from observation(evidence, "vanishing-gradient", place, verdict, layer=name)
