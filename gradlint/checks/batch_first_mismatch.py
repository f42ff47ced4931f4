"""GL812: a recurrent or attention layer whose batch axis is what the code takes for time, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import axes
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_ORDERS = {True: "(batch, time, …)", False: "(time, batch, …)"}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report each layer once, where it is built."""
    seen: set[object] = set()
    for found in axes.mismatches(facts):
        layer = axes.written(found.layer)
        place = layer.place
        if place is None or place.path != facts.path or place in seen:
            continue
        seen.add(place)
        values: dict[str, str | int] = {
            "layer": facts.name_of(found.layer, found.layer.name),
            "expected": _ORDERS[found.batch_first],
            "found": _ORDERS[not found.batch_first],
            "evidence": found.evidence.text,
            "line": found.evidence.line,
        }
        yield Finding("batch-first-mismatch", place.path, Range(*place.at), values)
