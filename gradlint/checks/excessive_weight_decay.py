"""GL607: a weight decay that pulls the weights to zero faster than the loss can hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Optimizer, Parameters, Place, number
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the strongest decay of each optimizer over a network's weights."""
    for optimizer in facts.optimizers:
        if rates.family_of(optimizer):
            yield from _judge(facts, optimizer, options)
    limit = options.number("decoupled")
    for call in facts.calls:
        named = call.name.startswith("transformers.") and call.name.endswith("TrainingArguments")
        decay = number(call.keywords.get("weight_decay")) if named and call.place.path == facts.path else None
        if decay is not None and decay >= limit and "optim" not in call.keywords:
            yield _finding("AdamW", decay, limit, number(call.keywords.get("learning_rate")), call.place)


def _judge(facts: TrainingFacts, optimizer: Optimizer, options: Options) -> Iterator[Finding]:
    if _convex(optimizer):
        return
    for parameters, settings in rates.groups(optimizer):
        apart = rates.decoupled(optimizer, settings)
        decay = number(settings.get("weight_decay"))
        if decay is None or apart is None or not rates.is_network(parameters):
            continue
        limit = options.number("decoupled" if apart else "l2")
        place = rates.written(facts, optimizer, settings.get("weight_decay"))
        if decay >= limit and place.path == facts.path:
            step = number(settings.get("lr")) if apart or rates.family_of(optimizer) == "sgd" else None
            yield _finding(optimizer.name, decay, limit, step, place)
            return


def _convex(optimizer: Optimizer) -> bool:
    """Whether all it trains is one layer."""
    owners = [owner for p in optimizer.parameters if isinstance(p, Parameters) for owner in p.owners]
    return len(owners) == 1 and rates.is_single_layer(owners[0])


def _finding(optimizer: str, decay: float, limit: float, lr: float | None, place: Place) -> Finding:
    consequence = "it outweighs what the loss asks for"
    if lr is not None and 0.0 < lr * decay < 1.0:
        steps = math.log(2.0) / -math.log1p(-lr * decay)
        consequence = f"without a gradient a weight halves every {steps:.3g} steps"
    values = {"optimizer": optimizer, "weight_decay": f"{decay:g}", "limit": f"{limit:g}", "consequence": consequence}
    return Finding("excessive-weight-decay", place.path, Range(*place.at), values)
