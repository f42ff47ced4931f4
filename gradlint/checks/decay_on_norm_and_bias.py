"""GL606: one weight decay for all parameters of a transformer."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates, transformers
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Parameters, number
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every optimizer that takes a transformer whole."""
    for optimizer in facts.optimizers:
        decay = number(optimizer.settings.get("weight_decay"))
        if decay is None or decay <= 0.0 or optimizer.groups or optimizer.place.path != facts.path:
            continue
        whole = [p for p in optimizer.parameters if isinstance(p, Parameters) and p.whole]
        owner = next((o for p in whole for o in p.owners if transformers.is_transformer(facts, o)), None)
        if owner is not None and rates.family_of(optimizer):
            model = facts.name_of(owner, "the model")
            values = {"optimizer": optimizer.name, "model": model, "weight_decay": f"{decay:g}"}
            yield Finding("decay-on-norm-and-bias", optimizer.place.path, Range(*optimizer.place.at), values)
