"""GL105: a training loop whose step never has gradients, because no backward reaches its parameters."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Backward, Forward, Node, OptimizerStep, Run, walk
from gradlint.facts.feeding import Meal, meals
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.training_step import repeated
from gradlint.facts.values import Optimizer, Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report steps in a loop that find nothing on any path."""
    seen: set[object] = set()
    for run, meal in meals(facts):
        if meal.step.place not in seen and _starves(facts, run, meal):
            seen.add(meal.step.place)
            values = {"optimizer": facts.name_of(meal.step.optimizer, "optimizer")}
            yield Finding("missing-backward", meal.step.place.path, Range(*meal.step.place.at), values)


def _starves(facts: TrainingFacts, run: Run, meal: Meal) -> bool:
    optimizer, closure = meal.step.optimizer, meal.step.closure
    if "empty" not in meal.kinds or not meal.kinds <= {"empty", "unknown"} or closure is not None:
        return False
    if isinstance(optimizer, Optimizer) and optimizer.closure:
        return False
    around = repeats_around(repeated(facts, run), meal.step)
    return bool(around) and _trains(around[0].body, optimizer)


def _trains(loop: list[Node], optimizer: Value) -> bool:
    """Whether a loop computes something, and all backwards in it belong to other optimizers."""
    events = walk(loop)
    others = [e.optimizer for e in events if isinstance(e, OptimizerStep) and e.optimizer is not optimizer]
    for backward in (e for e in events if isinstance(e, Backward)):
        if relations.reaches(backward, optimizer) is not False:
            return False
        if not any(relations.reaches(backward, other) for other in others):
            return False
    return any(isinstance(e, Forward) and e.recording is not False for e in events)
