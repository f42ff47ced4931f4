"""GL605: weight decay that Adam adds to the gradient and then scales away."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import number
from gradlint.options import Options

_COUPLED = frozenset({"Adam", "NAdam", "RAdam", "Adamax", "FusedAdam"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every group of every Adam."""
    for optimizer in facts.optimizers:
        if optimizer.name not in _COUPLED or not rates.family_of(optimizer) or optimizer.place.path != facts.path:
            continue
        for _, settings in rates.groups(optimizer):
            decay = number(settings.get("weight_decay"))
            if decay is not None and decay > 0.0 and rates.decoupled(optimizer, settings) is False:
                flag = "`decoupled_weight_decay=True`" if optimizer.name in ("NAdam", "RAdam") else "`AdamW`"
                values = {"optimizer": optimizer.name, "weight_decay": f"{decay:g}", "decoupled": flag}
                yield Finding("adam-l2", optimizer.place.path, Range(*optimizer.place.at), values)
                break
