"""GL501: a deep stack with PyTorch's default weights that the initialiser of its activation would keep alive."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import stacks
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every run whose weights nothing sets."""
    for found in stacks.diagnoses(facts):
        if found.kind == "default" and found.decades <= -options.number("decades"):
            yield Finding("default-init-deep", found.run.place.path, Range(*found.run.place.at), found.values())
