"""GL813: dropout whose output reaches a batch-norm, which stores the variance that dropout adds."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import chains, outputs
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge each dropout by the first batch-norm after it."""
    seen: set[object] = set()
    for _, operations in chains.chains(facts):
        for index, operation in enumerate(operations):
            rate = chains.dropout_rate(operation)
            norm = next((later for later in operations[index + 1 :] if chains.is_batch_norm(later)), None)
            place = outputs.written_at(facts, operation)
            if rate is None or norm is None or not options.number("rate") < rate < 1.0 or place in seen:
                continue
            seen.add(place)
            if place.path != facts.path:
                continue
            values = {
                "dropout": facts.name_of(operation.subject, "dropout"),
                "norm": facts.name_of(norm.subject, getattr(norm.subject, "name", "batch-norm")),
                "rate": f"{rate:g}",
                "factor": f"{1.0 / (1.0 - rate):.2f}",
            }
            yield Finding("dropout-before-batch-norm", place.path, Range(*place.at), values)
