"""Which recurrent layers a Backward goes through, and over how many steps."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.events import Repeat
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.model import Recurrence, TrainingFacts
from gradlint.facts.values import Layer, Value


def recurrent(facts: TrainingFacts, loss: Value, around: list[Repeat], least: int) -> Iterator[Layer]:
    """Recurrent layers through which a Backward goes `least` steps back or more, or a number that nobody can see.

    `around` are the loops around the Backward: their rounds are not steps.
    """
    if not facts.recurrences:
        return
    graph = ancestry(loss)
    applied: dict[Layer, list[Recurrence]] = {}
    for recurrence in facts.recurrences:
        if any(id(output) in graph for output in recurrence.outputs):
            applied.setdefault(recurrence.layer, []).append(recurrence)
    outer = {loop.number for loop in around}
    for layer, uses in applied.items():
        lengths = [_steps(use, outer) for use in uses]
        if None in lengths:
            yield layer
            continue
        known = [length for length in lengths if length is not None]
        chained = any(use.fed for use in uses)
        if (sum(known) if chained else max(known)) >= least:
            yield layer


def _steps(use: Recurrence, outer: set[int]) -> int | None:
    """Steps of one application; where the state is handed on, in every round of the loops inside the Backward's own."""
    steps = use.length
    if use.fed:
        for number, rounds in use.repeats:
            if number not in outer:
                steps = None if steps is None or rounds is None else steps * rounds
    return steps
