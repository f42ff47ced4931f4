"""GL807: image bytes that are cast to floats and go on as they are."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.raw_bytes import raw_casts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report every cast that nothing scales, once."""
    seen: set[object] = set()
    for cast in raw_casts(facts):
        if cast.place not in seen:
            seen.add(cast.place)
            values = {"tensor": cast.text, "module": cast.reaches, "range": "0 to 255"}
            yield Finding("unnormalised-input", cast.place.path, Range(*cast.place.at), values)
