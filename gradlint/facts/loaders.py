"""The DataLoaders that feed training: where they are built, the loop that trains on them, what they were given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gradlint.facts.events import Backward, Event, OptimizerStep, Repeat, repeats, walk
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Collection, FunctionValue, Loader, Manager, Steps, Value

_PARAMETERS = (
    "dataset",
    "batch_size",
    "shuffle",
    "sampler",
    "batch_sampler",
    "num_workers",
    "collate_fn",
    "pin_memory",
    "drop_last",
)


@dataclass(frozen=True, eq=False)
class TrainingLoader:
    """A loader, the call that builds it, the loop that trains on it (None: a framework's) and the loops round that."""

    loader: Loader
    call: CallFact
    loop: Repeat | None
    outer: tuple[Repeat, ...] = ()

    def given(self, parameter: str) -> Value | None:
        """The value passed to the DataLoader for one parameter, or None."""
        return given(self.loader, parameter)


def given(loader: Loader, parameter: str) -> Value | None:
    """The value passed to a DataLoader for one parameter, or None."""
    if parameter in loader.keywords:
        return loader.keywords[parameter]
    position = _PARAMETERS.index(parameter)
    return loader.arguments[position] if position < len(loader.arguments) else None


def training_loaders(facts: TrainingFacts) -> Iterator[TrainingLoader]:
    """Every loader of the file whose batches are trained on: in a loop that steps, or by the trainer of a framework.

    Left out are loaders whose arguments are passed on as `**options`.
    """
    built = {id(call.result): call for call in facts.calls if isinstance(call.result, Loader)}
    seen: set[int] = set()
    for loader, loop, outer in (*_looped(facts), *_handed(facts)):
        call = built.get(id(loader))
        if call is None or id(loader) in seen:
            continue
        seen.add(id(loader))
        if "**" not in loader.keywords:
            yield TrainingLoader(loader, call, loop, outer)


_Fed = tuple[Loader, Repeat | None, tuple[Repeat, ...]]


def _looped(facts: TrainingFacts) -> Iterator[_Fed]:
    """The loaders of loops that hold a backward and a step."""
    for run in facts.runs:
        for loop in repeats(run.tree):
            events = walk(loop.body)
            if _trains(events):
                around = repeats_around(run.tree, events[0])
                for loader in _fed_by(facts, loop):
                    yield loader, loop, tuple(around[: around.index(loop)])


def _fed_by(facts: TrainingFacts, loop: Repeat) -> Iterator[Loader]:
    """The loaders whose batches a loop goes through, also inside `enumerate` and `zip`, or that it draws from."""
    waiting = [loop.over]
    while waiting:
        over = _source(facts, waiting.pop())
        if isinstance(over, Steps) and over.kind in ("enumerate", "zip"):
            waiting.extend(over.arguments)
        elif isinstance(over, Loader):
            yield over
    if loop.over is None or (isinstance(loop.over, Steps) and loop.over.kind == "range"):
        yield from _drawn_from(facts, loop)


def _source(facts: TrainingFacts, over: Value | None) -> Value | None:
    """The one loader whose batches a generator of the project hands on, or what was given."""
    if not isinstance(over, Collection):
        return over
    found = {
        id(loader): loader for c in facts.calls if c.name == "generator" and c.result is over for loader in c.arguments
    }
    return next(iter(found.values())) if len(found) == 1 else over


@lru_cache(maxsize=1)
def _nexts(facts: TrainingFacts) -> list[CallFact]:
    return [call for call in facts.calls if call.name == "next" and call.arguments]


def _drawn_from(facts: TrainingFacts, loop: Repeat) -> Iterator[Loader]:
    """The only loader that `next` takes batches of, in the very loop that goes back through them."""
    drawn = {_source(facts, call.arguments[0]) for call in _nexts(facts) if call.repeats[-1:] == (loop.number,)}
    if len(drawn) == 1 and any(isinstance(e, Backward) and not repeats_around(loop.body, e) for e in walk(loop.body)):
        # With a second iterator, one of them may be for validation.
        yield from (loader for loader in drawn if isinstance(loader, Loader))


def _handed(facts: TrainingFacts) -> Iterator[_Fed]:
    """The loaders that a framework's trainer trains on: Lightning's `fit` and `train_dataloader`, Ignite's `run`."""
    for run in facts.runs:
        if run.managed == "lightning" and run.name.endswith(".train_dataloader") and isinstance(run.result, Loader):
            yield run.result, None, ()
    updates = {run.name for run in facts.runs if _trains(run.events)}
    for call in facts.calls:
        manager = call.receiver
        if not isinstance(manager, Manager):
            continue
        loader = None
        if manager.kind == "lightning" and call.name == "Manager.fit":
            loader = call.argument(1, "train_dataloaders")
        elif manager.kind == "ignite" and call.name == "Manager.run" and manager.arguments:
            update = manager.arguments[0]
            loader = call.argument(0, "data") if isinstance(update, FunctionValue) and update.name in updates else None
        if isinstance(loader, Loader):
            yield loader, None, ()


def _trains(events: list[Event]) -> bool:
    return any(isinstance(e, Backward) for e in events) and any(isinstance(e, OptimizerStep) for e in events)
