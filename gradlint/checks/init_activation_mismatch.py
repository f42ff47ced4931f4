"""GL503: a deep stack set by the fan-scaled initialiser of another activation."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import initialisation, stacks
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every run set by Xavier, Kaiming or orthogonal weights that another initialiser would bring into range."""
    for found in stacks.diagnoses(facts):
        if found.kind != "mismatch" or len(found.run.weights) < options.integer("layers"):
            continue
        given = stacks.common_initialiser(found.run)
        if given is not None and abs(found.decades) >= options.number("decades"):
            values = {**found.values(), "initialiser": f"`{initialisation.spelled(given[0])}`"}
            yield Finding("init-activation-mismatch", found.run.place.path, Range(*found.run.place.at), values)
