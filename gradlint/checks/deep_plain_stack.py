"""GL302: twenty or more weight layers in a row that no initialiser keeps alive."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import stacks
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every run of at least `depth` weights by its predicted gradient."""
    for found in stacks.diagnoses(facts):
        deep = len(found.run.weights) >= options.integer("depth")
        if found.kind == "deep" and deep and found.decades <= -options.number("decades"):
            yield Finding("deep-plain-stack", found.run.place.path, Range(*found.run.place.at), found.values())
