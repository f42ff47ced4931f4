"""GL208: `module.forward(…)` in place of `module(…)`."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report every call of a module's forward from outside its class."""
    for call in facts.calls:
        if call.name == "Module.forward":
            name = facts.name_of(call.receiver, getattr(call.receiver, "name", "module"))
            values = {"call": f"{name}.forward(…)", "module": name}
            yield Finding("forward-called-directly", call.place.path, Range(*call.place.at), values)
