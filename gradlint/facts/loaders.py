"""The DataLoaders that feed training: where they are built, the loop that trains on them, what they were given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.facts.events import Backward, OptimizerStep, Repeat, Run, repeats, walk
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.values import Loader, Manager, Steps, Value

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
    """A loader, the call that builds it, and the loop that trains on its batches (None: a framework's)."""

    loader: Loader
    call: CallFact
    run: Run
    loop: Repeat | None

    def given(self, parameter: str) -> Value | None:
        """The value passed to the DataLoader for one parameter, or None."""
        return given(self.loader, parameter)


def given(loader: Loader, parameter: str) -> Value | None:
    """The value passed to a DataLoader for one parameter, or None."""
    if parameter in loader.keywords:
        return loader.keywords[parameter]
    position = _PARAMETERS.index(parameter)
    return loader.arguments[position] if position < len(loader.arguments) else None


def fed_by(loop: Repeat) -> Loader | None:
    """The loader whose batches a loop goes through, also inside `enumerate`."""
    over = loop.over
    while isinstance(over, Steps) and over.kind == "enumerate" and over.arguments:
        over = over.arguments[0]
    return over if isinstance(over, Loader) else None


def training_loaders(facts: TrainingFacts) -> Iterator[TrainingLoader]:
    """Every loader of the file whose batches are trained on: in a loop that steps, or returned by `train_dataloader`.

    Left out are loaders whose arguments are passed on as `**options`, and those that an object of a framework takes.
    """
    built = {id(call.result): call for call in facts.calls if isinstance(call.result, Loader)}
    taken = {
        id(v) for c in facts.calls if isinstance(c.receiver, Manager) for v in (*c.arguments, *c.keywords.values())
    }
    seen: set[int] = set()
    for run in facts.runs:
        found: list[tuple[Value | None, Repeat | None]] = [
            (fed_by(loop), loop) for loop in repeats(run.tree) if _trains(loop)
        ]
        if run.managed == "lightning" and run.name.endswith(".train_dataloader"):
            found.append((run.result, None))
        for loader, loop in found:
            call = built.get(id(loader))
            if not isinstance(loader, Loader) or call is None or id(loader) in seen or id(loader) in taken:
                continue
            seen.add(id(loader))
            if "**" not in loader.keywords and call.place.path == facts.path:
                yield TrainingLoader(loader, call, run, loop)


def _trains(loop: Repeat) -> bool:
    events = walk(loop.body)
    return any(isinstance(e, Backward) for e in events) and any(isinstance(e, OptimizerStep) for e in events)
