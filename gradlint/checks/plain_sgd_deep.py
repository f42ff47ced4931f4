"""GL610: a deep network trained by SGD without momentum."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Parameters, number
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every SGD whose momentum is known to be zero."""
    for optimizer in facts.optimizers:
        momentum = optimizer.settings.get("momentum")
        plain = momentum is None and "**" not in optimizer.settings
        if optimizer.name != "SGD" or not optimizer.known or not (plain or number(momentum) == 0.0):
            continue
        owners = [owner for p in optimizer.parameters if isinstance(p, Parameters) for owner in p.owners]
        found = [(rates.weight_layers(owner) or 0, owner) for owner in owners]
        layers, owner = max(found, key=lambda pair: pair[0], default=(0, None))
        if layers >= options.integer("layers") and optimizer.place.path == facts.path:
            values: dict[str, str | int] = {
                "optimizer": "SGD",
                "model": facts.name_of(owner, "the model"),
                "layers": layers,
            }
            yield Finding("plain-sgd-deep", optimizer.place.path, Range(*optimizer.place.at), values)
