"""GL114: a training loop that steps a scheduler and never its optimizer."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.unstepped import unstepped
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report the step of the scheduler."""
    for found in unstepped(facts):
        if found.scheduler is not None:
            place = found.scheduler.place
            values = {
                "optimizer": facts.name_of(found.optimizer, "optimizer"),
                "scheduler": facts.name_of(found.scheduler.scheduler, "scheduler"),
            }
            yield Finding("scheduler-instead-of-optimizer", place.path, Range(*place.at), values)
