"""GL601: a learning rate above the range in which the optimizer trains networks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates, stepping
from gradlint.facts.events import ClipGrad
from gradlint.facts.model import TrainingFacts
from gradlint.facts.rates import Rate
from gradlint.facts.values import number
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every known learning rate that a network trains with."""
    seen = set()
    clips = [
        number(event.limit)
        for run in facts.runs
        for event in run.events
        if isinstance(event, ClipGrad) and event.kind == "norm"
    ]
    for rate in rates.rates(facts):
        if not rate.family or not rate.network or rate.place in seen or rate.place.path != facts.path:
            continue
        limit = _limit(rate, options)
        if rate.family == "sgd" and clips:
            limit = max(limit, _clipped(rate, clips, options))
        if not _above(facts, rate, limit) or (
            rate.family == "sgd" and rate.maker and rates.warmed_up(facts, rate.maker)
        ):
            continue
        if rate.maker is not None and (rates.private(facts, rate.maker) or stepping.trains(facts, rate.maker) is False):
            continue
        seen.add(rate.place)
        values = {
            "optimizer": rate.optimizer,
            "lr": f"{rate.value:g}",
            "limit": f"{limit:g}",
            "factor": f"{rate.value / limit:.3g} times" if rate.value > limit else "at",
        }
        yield Finding("high-learning-rate", rate.place.path, Range(*rate.place.at), values)


def _limit(rate: Rate, options: Options) -> float:
    if rate.family == "sgd":
        return options.number("sgd_momentum" if rate.momentum >= 0.9 else "sgd")
    return options.number(rate.family)


def _clipped(rate: Rate, norms: list[float | None], options: Options) -> float:
    """The lr with which steps of clipped gradients get too long: they sum up to lr · max_norm / (1 - momentum)."""
    known = [norm for norm in norms if norm is not None and norm > 0.0]
    if len(known) < len(norms) or rate.momentum >= 1.0:
        return math.inf
    return options.number("sgd_clipped") * (1.0 - rate.momentum) / max(known)


def _above(facts: TrainingFacts, rate: Rate, limit: float) -> bool:
    if rate.family == "sgd" and rate.momentum < 0.9 and rate.value == limit:
        return rate.maker is not None and stepping.trains(facts, rate.maker) is True
    return rate.value > limit
