"""GL106: a module that the loss trains and that no optimizer holds."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Construct,
    Escape,
    Event,
    Forward,
    Freeze,
    GradEdit,
    LoadSnapshot,
    ManualUpdate,
    ModeSwitch,
    OptimizerStep,
    Rebind,
    repeats,
    walk,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Instance, Layer, Optimizer, Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Compare what each backward of a loop reaches with what all optimizers of the file hold."""
    events = [event for run in facts.runs for event in walk(run.tree)]
    stepped = [e.optimizer for e in events if isinstance(e, OptimizerStep)]
    built = [e.value for e in events if isinstance(e, Construct) and isinstance(e.value, Optimizer)]
    optimizers = dict.fromkeys((*built, *stepped))
    if not all(isinstance(o, Optimizer) and o.known and o.managed != "deepspeed" for o in stepped):
        return
    seen: set[object] = set()
    for run in facts.runs:
        inside = dict.fromkeys(e for loop in repeats(run.tree) for e in walk(loop.body))
        called = {e.module for e in inside if isinstance(e, Forward)}
        steps = list(dict.fromkeys(e.optimizer for e in inside if isinstance(e, OptimizerStep)))
        for backward in (e for e in inside if isinstance(e, Backward)):
            missing = [
                root for root in _roots(backward) if root in called and _forgotten(root, list(optimizers), events)
            ]
            optimizer = _responsible(backward, steps)
            if missing and optimizer is not None and optimizer.place not in seen:
                seen.add(optimizer.place)
                held = relations.sources(optimizer) or []
                values: dict[str, str | int | float] = {
                    "optimizer": facts.name_of(optimizer, "optimizer"),
                    "held": ", ".join(f"`{facts.name_of(part, 'other parameters')}`" for part in held),
                    "backward_line": backward.place.at[0],
                    "missing": ", ".join(sorted(f"`{facts.name_of(part, 'a module')}`" for part in missing)),
                }
                yield Finding("optimizer-parameter-mismatch", optimizer.place.path, Range(*optimizer.place.at), values)


def _roots(backward: Backward) -> list[Value]:
    roots = backward.tensor.roots if backward.tensor is not None else frozenset()
    return [root for root in roots if isinstance(root, (Layer, Instance)) and relations.has_parameters(root)]


def _forgotten(module: Value, optimizers: list[Value], events: list[Event]) -> bool:
    """Whether no optimizer holds a module and nothing says that this is meant."""
    if not all(relations.apart(module, optimizer) for optimizer in optimizers):
        return False
    return not any(_explains(event, module) for event in events)


def _explains(event: Event, module: Value) -> bool:
    """Frozen, kept in evaluation mode, updated by hand, loaded, put in for another one, or handed to unseen code."""
    if isinstance(event, Freeze):
        return event.trainable is not True and relations.overlap(event.target, module) is not False
    if isinstance(event, ModeSwitch):
        return event.training is False and relations.within(module, event.module)
    if isinstance(event, (ManualUpdate, GradEdit)):
        return relations.overlap(event.target, module) is not False
    if isinstance(event, LoadSnapshot):
        return relations.within(module, event.module)
    if isinstance(event, Rebind):
        return event.new is module or event.owner is module
    return isinstance(event, Escape) and any(
        relations.holds(value, module) or relations.within(module, value) for value in event.values
    )


def _responsible(backward: Backward, steps: list[Value]) -> Optimizer | None:
    """The optimizer that the backward is for: the one it reaches, else the only one there is."""
    reached = [o for o in steps if isinstance(o, Optimizer) and relations.reaches(backward, o)]
    if reached:
        return reached[0]
    return steps[0] if len(steps) == 1 and isinstance(steps[0], Optimizer) else None
