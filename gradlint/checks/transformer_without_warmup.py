"""GL609: a post-norm transformer that starts at Adam's full learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates, transformers
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import number
from gradlint.options import Options

_FALLING = frozenset({
    "StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "PolynomialLR", "ReduceLROnPlateau",
    "CosineAnnealingWarmRestarts",
})  # fmt: skip
"""Schedulers that begin at the optimizer's learning rate."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every Adam over a post-norm transformer whose schedules all begin at its learning rate."""
    for optimizer in facts.optimizers:
        lr = number(optimizer.settings.get("lr"))
        if rates.family_of(optimizer) != "adam" or lr is None or lr < options.number("lr"):
            continue
        schedules = [found for found in facts.schedulers if rates.on(found, optimizer)]
        if any(found.name not in _FALLING for found in schedules) or rates.replaced(facts, optimizer):
            continue
        owner = next((o for o in rates.networks(optimizer) if transformers.is_post_norm(facts, o)), None)
        if owner is not None and optimizer.place.path == facts.path:
            limit = f"{options.number('lr'):g}"
            values = {"model": facts.name_of(owner, "the model"), "lr": f"{lr:g}", "limit": limit}
            yield Finding("transformer-without-warmup", optimizer.place.path, Range(*optimizer.place.at), values)
