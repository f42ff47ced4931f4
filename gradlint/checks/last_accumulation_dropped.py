"""GL116: an accumulation that leaves the last batches of an epoch neither stepped nor cleared."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.accumulation import Accumulation, accumulations
from gradlint.facts.events import OptimizerStep, ZeroGrad, walk
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.values import Loader, Manager, Steps, Value, integer
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the accumulations whose step hangs on the remainder of a counter alone."""
    seen: set[object] = set()
    for found in accumulations(facts):
        place = found.step.place
        if found.condition is None or found.condition.also or found.loop.over is None or place in seen:
            continue
        if _closed(found) or _divides(facts, found) or isinstance(found.backward.via, Manager):
            continue
        seen.add(place)
        factor = found.factor
        rest = str(int(factor) - 1) if factor.isdigit() else f"{factor} − 1"
        values = {"rest": rest, "optimizer": facts.name_of(found.step.optimizer, "optimizer")}
        yield Finding("last-accumulation-dropped", place.path, Range(*place.at), values)


def _closed(found: Accumulation) -> bool:
    """Whether the optimizer is stepped or cleared outside the loop too: after it, or before each epoch."""
    inside = {id(event) for event in walk(found.loop.body)}
    optimizer = found.step.optimizer
    for event in found.run.events:
        if id(event) in inside:
            continue
        if isinstance(event, OptimizerStep) and event.optimizer is optimizer:
            return True
        if isinstance(event, ZeroGrad) and relations.clears(event.target, optimizer) is not False:
            return True
    return False


def _divides(facts: TrainingFacts, found: Accumulation) -> bool:
    """Whether the number of batches is known and the factor divides it."""
    loader = found.loop.over
    while isinstance(loader, Steps) and loader.arguments:
        loader = loader.arguments[0]
    factor = found.condition.modulus if found.condition is not None else None
    if not isinstance(loader, Loader) or factor is None or not loader.arguments:
        return False
    size, batch = _rows(facts, loader.arguments[0]), integer(loader.keywords.get("batch_size"))
    if size is None or batch is None:
        return False
    return -(-size // batch) % factor == 0


def _rows(facts: TrainingFacts, dataset: Value) -> int | None:
    """The first size of the tensors of a TensorDataset, where a factory of torch made them."""
    made = _made(facts, dataset)
    if made is None or not made.name.endswith(".TensorDataset") or not made.arguments:
        return None
    tensor = _made(facts, made.arguments[0])
    return integer(tensor.arguments[0]) if tensor is not None and tensor.arguments else None


def _made(facts: TrainingFacts, value: Value) -> CallFact | None:
    return next((call for call in facts.calls if call.result is value), None)
