"""GL803: an evaluation loop that records graphs nobody back-propagates."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.differentiated import differentiated, recorded
from gradlint.facts.evaluation import evaluations
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Point at the first recorded call of the module in every evaluation loop."""
    for evaluation in evaluations(facts):
        place = evaluation.first.place
        # What another file calls there may be called by training too.
        if place.path == facts.path and recorded(evaluation) and not differentiated(facts, evaluation):
            values = {"module": facts.name_of(evaluation.module, "model")}
            yield Finding("missing-no-grad", place.path, Range(*place.at), values)
