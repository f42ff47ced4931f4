"""GL113: a method of a training loop named as a statement and not called."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.roles import training_method
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report bare `optimizer.step`, `model.eval`, `loss.backward` and their kind."""
    for bare in facts.bare:
        if training_method(bare.receiver, bare.attribute):
            yield Finding("not-called", bare.place.path, Range(*bare.place.at), {"expression": bare.text})
