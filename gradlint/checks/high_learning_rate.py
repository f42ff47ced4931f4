"""GL601: a learning rate above the range in which the optimizer trains networks."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates
from gradlint.facts.events import ClipGrad, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.rates import Rate
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every known learning rate that a network trains with."""
    seen = set()
    clipped = any(
        isinstance(event, ClipGrad) and event.kind == "norm" for run in facts.runs for event in walk(run.tree)
    )
    for rate in rates.rates(facts):
        limit = _limit(rate, options)
        if not rate.network or rate.place in seen or rate.place.path != facts.path or not _above(rate, limit):
            continue
        if rate.family == "sgd" and (clipped or rates.warmed_up(facts, rate.place)):
            continue
        seen.add(rate.place)
        values = {
            "optimizer": rate.optimizer,
            "lr": f"{rate.value:g}",
            "limit": f"{limit:g}",
            "factor": f"{rate.value / limit:.3g}",
        }
        yield Finding("high-learning-rate", rate.place.path, Range(*rate.place.at), values)


def _limit(rate: Rate, options: Options) -> float:
    if rate.family == "sgd":
        return options.number("sgd_momentum" if rate.momentum >= 0.9 else "sgd")
    return options.number(rate.family)


def _above(rate: Rate, limit: float) -> bool:
    if rate.family == "sgd" and rate.momentum < 0.9:
        return rate.value >= limit
    return rate.value > limit
