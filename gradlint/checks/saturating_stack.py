"""GL301: sigmoid-like layers in a row that pass on almost no gradient, whatever their initialiser."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import stacks
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every run of the file's stacks by its predicted gradient."""
    for found in stacks.diagnoses(facts):
        if found.kind == "saturating" and found.decades <= -options.number("decades"):
            yield Finding("saturating-stack", found.run.place.path, Range(*found.run.place.at), found.values())
