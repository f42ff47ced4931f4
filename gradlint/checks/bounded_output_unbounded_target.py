"""GL310: a tanh or sigmoid output regressed on targets outside its range."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, targets
from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.options import Options

_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
}
_BEYOND = 0.5
"""Share of the output's range by which targets must leave it."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every distance between a bounded output and a target of known bounds."""
    for loss in facts.losses:
        form = outputs.form_of(loss.input)
        if form is None or form.kind not in _RANGES or loss.kind not in targets.DISTANCES or not outputs.trains(loss):
            continue
        low, high = _RANGES[form.kind]
        if loss.place.path != facts.path:
            continue
        found = _beyond(loss, low, high)
        if found:
            values: dict[str, str | int | float] = {
                "loss": outputs.named(facts, loss), "activation": form.kind, "low": f"{low:g}", "high": f"{high:g}",
                "targets": found,
            }  # fmt: skip
            yield Finding("bounded-output-unbounded-target", loss.place.path, Range(*loss.place.at), values)


def _beyond(loss: LossCall, low: float, high: float) -> str:
    """What is known of targets that leave the range, in words; empty where they may lie in it."""
    if targets.is_standardised(loss.target) or targets.is_normal(loss.target):
        return "of mean 0 and standard deviation 1, which leave it"
    bounds = targets.bounds(loss.target)
    if bounds is None or not all(map(math.isfinite, bounds)):
        return ""
    slack = _BEYOND * (high - low)
    leaves = bounds[0] < low - slack or bounds[1] > high + slack
    return f"in [{bounds[0]:g}, {bounds[1]:g}]" if leaves else ""
