"""GL906: a training step that keeps its loss to itself, so that Lightning has nothing to back-propagate."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Backward, Forward
from gradlint.facts.lightning import automatic_steps
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Constant
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge training steps of this file that run a network and give back None on every path."""
    for run in automatic_steps(facts):
        events = run.events
        computes = any(isinstance(event, Forward) and event.recording is not False for event in events)
        silent = isinstance(run.result, Constant) and run.result.value is None
        if not computes or not silent or any(isinstance(event, Backward) for event in events):
            continue
        place = next((fact.place for fact in facts.functions if fact.name == run.name), None)
        if place is not None and place.path == facts.path:
            yield Finding("training-step-returns-nothing", place.path, Range(*place.at), {"method": run.name})
