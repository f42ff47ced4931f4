"""GL602: a learning rate of zero, below zero, or too small to move a float32 weight."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Collection, Optimizer, Place, Tensor
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the optimizers all of whose known learning rates are useless and that nothing else sets one for."""
    found: dict[Place, list[tuple[str, float]]] = {}
    lifted = {o.place for o in facts.optimizers if any(rates.on(s, o) and rates.lifts(s) for s in facts.schedulers)}
    for rate in rates.rates(facts):
        found.setdefault(rate.place, []).append((rate.optimizer, rate.value))
    idle = {optimizer.place for optimizer in facts.optimizers if _holds_nothing(optimizer)}
    for place, given in found.items():
        if any(math.isnan(value) for _, value in given) or place in idle:
            continue
        name, highest = max(given, key=lambda pair: pair[1])
        if highest < options.number("minimum") and place.path == facts.path and place not in lifted:
            values = {"optimizer": name, "lr": f"{highest:g}", "consequence": _consequence(highest)}
            yield Finding("useless-learning-rate", place.path, Range(*place.at), values)


def _holds_nothing(optimizer: Optimizer) -> bool:
    """Whether it stands in for one where there is nothing to train: `SGD([torch.zeros(1)], lr=0.0)`."""
    items = [item for part in optimizer.parameters if isinstance(part, Collection) for item in part.items]
    plain = all(isinstance(item, Tensor) and not item.parameter and not item.roots for item in items)
    return bool(items) and plain and all(isinstance(part, Collection) for part in optimizer.parameters)


def _consequence(value: float) -> str:
    if value == 0.0:
        return "nothing moves"
    return "PyTorch refuses it" if value < 0.0 else "a step of that size is rounded away in float32"
