"""GL223: one module with parameters stands several times in a list that is meant to hold copies."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.registration import has_parameters
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every list of modules that is multiplied, or made by a comprehension that names one module."""
    for repeated in facts.repeated:
        if has_parameters(repeated.module) and (repeated.count is None or repeated.count > 1):
            values = {
                "expression": repeated.text, "count": repeated.count or "several", "parameters": "parameters",
            }  # fmt: skip
            yield Finding("repeated-module-instance", repeated.place.path, Range(*repeated.place.at), values)
