"""GL504: weights of a fixed size, whatever the layer's width."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import initialisation, stacks
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every run whose weights were set by a number, at the line that sets them."""
    seen = set()
    for found in stacks.diagnoses(facts):
        given = stacks.common_initialiser(found.run) if found.kind == "scale" else None
        if given is None or abs(found.decades) < options.number("decades"):
            continue
        place = given[0].place
        if place is None or place.path != facts.path or place in seen:
            continue
        seen.add(place)
        weight = found.run.weights[given[1]]
        times, fan_in = initialisation.times_fitting(weight, found.run.activation)
        values = {
            **found.values(),
            "initialiser": f"`{initialisation.spelled(given[0])}`",
            "layer": weight.name,
            "fan_in": fan_in,
            "times": f"{times:.2g}" if math.isfinite(times) else "many",
        }
        yield Finding("init-scale", place.path, Range(*place.at), values)
