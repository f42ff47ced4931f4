"""GL103: a step that stands before the backward of its iteration and finds only cleared gradients."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.exclusive import exclusive
from gradlint.facts.feeding import meals
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report steps that the previous iteration's gradients never reach, because they are cleared in between."""
    seen: set[object] = set()
    for run, meal in meals(facts):
        if (
            "early" not in meal.kinds
            or meal.kinds & {"fed", "wiped"}
            or meal.backward is None
            or meal.step.place in seen
            or exclusive(run.tree, meal.step, meal.backward)
        ):
            continue
        seen.add(meal.step.place)
        values: dict[str, str | int | float] = {
            "optimizer": facts.name_of(meal.step.optimizer, "optimizer"),
            "backward_line": meal.backward.place.line_from(meal.step.place.path),
        }
        yield Finding("step-before-backward", meal.step.place.path, Range(*meal.step.place.at), values)
