"""GL301: sigmoid-like layers in a row that pass on almost no gradient, whatever their initialiser."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import stacks
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_BETWEEN = {
    False: "with neither normalisation nor residual path between them",
    True: "whose normalisation does not make up for it",
}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every run of the file's stacks by its predicted gradient."""
    for found in stacks.diagnoses(facts):
        if found.kind == "saturating" and found.decades <= -options.number("decades"):
            values = {**found.values(), "between": _BETWEEN[found.run.guarded]}
            yield Finding("saturating-stack", found.run.place.path, Range(*found.run.place.at), values)
