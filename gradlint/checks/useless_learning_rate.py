"""GL602: a learning rate of zero, below zero, or too small to move a float32 weight."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Place
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the optimizers all of whose known learning rates are useless and that nothing else sets one for."""
    found: dict[Place, list[tuple[str, float]]] = {}
    lifted = {o.place for o in facts.optimizers if any(rates.on(s, o) and rates.lifts(s) for s in facts.schedulers)}
    for rate in rates.rates(facts):
        found.setdefault(rate.place, []).append((rate.optimizer, rate.value))
    for place, given in found.items():
        if any(math.isnan(value) for _, value in given):
            continue
        name, highest = max(given, key=lambda pair: pair[1])
        if highest < options.number("minimum") and place.path == facts.path and place not in lifted:
            values = {"optimizer": name, "lr": f"{highest:g}", "consequence": _consequence(highest)}
            yield Finding("useless-learning-rate", place.path, Range(*place.at), values)


def _consequence(value: float) -> str:
    if value == 0.0:
        return "nothing moves"
    return "PyTorch refuses it" if value < 0.0 else "a step of that size is rounded away in float32"
