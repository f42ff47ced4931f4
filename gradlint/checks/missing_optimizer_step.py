"""GL104: a backward in a loop fills the gradients of an optimizer that nothing ever steps."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.unstepped import unstepped
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report the backward; where a scheduler is stepped in place of the optimizer, GL114 speaks."""
    for found in unstepped(facts):
        if found.scheduler is None:
            place = found.backward.place
            values: dict[str, str | int | float] = {
                "optimizer": facts.name_of(found.optimizer, "optimizer"),
                "optimizer_line": found.place.line_from(place.path),
            }
            yield Finding("missing-optimizer-step", place.path, Range(*place.at), values)
