"""GL102: a clear between a backward and the step that should use its gradients."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.feeding import meals
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report the clears of steps that never find anything but wiped gradients."""
    seen: set[object] = set()
    for run in facts.runs:
        for meal in meals(facts, run):
            if meal.kinds != {"wiped"} or meal.clear is None or meal.backward is None or meal.clear.place in seen:
                continue
            seen.add(meal.clear.place)
            target = getattr(meal.clear, "target", None)
            values: dict[str, str | int | float] = {
                "clear": f"clearing {facts.name_of(target, 'the gradients')}",
                "backward_line": meal.backward.place.at[0],
                "optimizer": facts.name_of(meal.step.optimizer, "optimizer"),
                "step_line": meal.step.place.at[0],
            }
            yield Finding("zero-grad-before-step", meal.clear.place.path, Range(*meal.clear.place.at), values)
