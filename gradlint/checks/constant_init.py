"""GL502: a hidden weight matrix that starts with one constant."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import hidden, relations, stepping
from gradlint.facts.hidden import HiddenWeight
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every weight that another layer reads through element-wise operations only."""
    seen = set()
    for weight in hidden.hidden_weights(facts):
        for found in weight.starts:
            value = hidden.constant_of(found)
            place = found.place
            if value is None or place is None or place.path != facts.path or place in seen:
                continue
            if _compared(facts, weight):
                continue
            seen.add(place)
            units = weight.units if weight.units is not None else "many"
            values = {"layer": weight.name, "value": f"{value:g}", "units": units}
            yield Finding("constant-init", place.path, Range(*place.at), values)


def _compared(facts: TrainingFacts, weight: HiddenWeight) -> bool:
    """Whether every optimizer that holds it takes a single step in sight: runs are compared, nothing is trained."""
    holders = [o for o in facts.optimizers if weight.owner is not None and relations.overlap(weight.owner, o)]
    return bool(holders) and all(stepping.trains(facts, optimizer) is False for optimizer in holders)
