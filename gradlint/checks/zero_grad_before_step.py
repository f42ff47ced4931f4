"""GL102: a clear between a backward and the step that should use its gradients."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.discarding import discards
from gradlint.facts.events import Backward, Event, OptimizerStep
from gradlint.facts.feeding import meals
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report the clears of steps that never find anything but wiped gradients."""
    seen: set[object] = set()
    for _, meal in meals(facts):
        if meal.kinds != {"wiped"} or meal.clear is None or meal.backward is None or meal.clear.place in seen:
            continue
        seen.add(meal.clear.place)
        target = getattr(meal.clear, "target", None)
        yield _finding(facts, meal.clear, target, "", meal.backward, meal.step)
    for found in discards(facts):
        if found.clear.place not in seen:
            seen.add(found.clear.place)
            often = " in every micro-batch"
            yield _finding(facts, found.clear, found.clear.target, often, found.backward, found.step)


def _finding(
    facts: TrainingFacts, clear: Event, target: Value | None, often: str, backward: Backward, step: OptimizerStep
) -> Finding:
    values: dict[str, str | int | float] = {
        "target": facts.name_of(target, "the gradients"),
        "often": often,
        "backward_line": backward.place.line_from(clear.place.path),
        "optimizer": facts.name_of(step.optimizer, "optimizer"),
        "step_line": step.place.line_from(clear.place.path),
    }
    return Finding("zero-grad-before-step", clear.place.path, Range(*clear.place.at), values)
