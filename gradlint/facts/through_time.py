"""Which recurrent layers a Backward goes through, and over how many steps."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.events import Backward, Run
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.model import Recurrence, TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Layer


def recurrent(facts: TrainingFacts, run: Run, backward: Backward, least: int) -> Iterator[Layer]:
    """Recurrent layers through which `backward` goes `least` steps back or more, or a number that nobody can see."""
    if not facts.recurrences:
        return
    graph = ancestry(backward.loss)
    applied: dict[Layer, list[Recurrence]] = {}
    for recurrence in facts.recurrences:
        if any(id(output) in graph for output in recurrence.outputs):
            applied.setdefault(recurrence.layer, []).append(recurrence)
    around = {loop.number for loop in repeats_around(run.tree, backward)}
    for layer, uses in applied.items():
        lengths = [_steps(use, around) for use in uses]
        if None in lengths:
            yield layer
            continue
        known = [length for length in lengths if length is not None]
        chained = any(use.fed for use in uses)
        if (sum(known) if chained else max(known)) >= least:
            yield layer


def _steps(use: Recurrence, around: set[int]) -> int | None:
    """Steps of one application; where the state is handed on, in every round of the loops inside the Backward's own."""
    steps = use.length
    if use.fed:
        for number, rounds in use.repeats:
            if number not in around:
                steps = None if steps is None or rounds is None else steps * rounds
    return steps
