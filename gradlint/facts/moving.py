"""What moves parameters along their gradients: optimizers that are stepped, and updates by hand."""

from __future__ import annotations

from gradlint.facts.events import Call, Event, ManualUpdate, OptimizerStep, Run, ZeroGrad, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import nodes_around
from gradlint.facts.values import Manager, Optimizer, Tensor, Value


def updated(event: Event) -> Value | None:
    """The optimizer that is stepped, or the module or parameter that an update by hand moves along its gradient."""
    if isinstance(event, OptimizerStep):
        return event.optimizer
    if not isinstance(event, ManualUpdate) or not event.gradient or event.rebinds:
        return None
    target = event.target
    return target.owner if isinstance(target, Tensor) and target.owner is not None else target


def stepped(events: list[Event]) -> list[Value]:
    """Each of them once; what a framework steps by its own rules is left out."""
    stepped = dict.fromkeys(value for value in map(updated, events) if value is not None)
    return [
        o for o in stepped if not isinstance(o, Manager) and not (isinstance(o, Optimizer) and o.managed == "deepspeed")
    ]


def cleared_for_others(facts: TrainingFacts, run: Run, step: Event) -> bool:
    """Whether the function of a step clears where another caller wants it to: this one says that it does not."""
    calls = [n for n in nodes_around(run.tree, step) if isinstance(n, Call) and n.function == step.function]
    here = {event.place for event in walk(calls[-1].body if calls else run.tree)}
    return any(
        isinstance(event, ZeroGrad) and event.function == step.function and event.place not in here
        for other in facts.runs
        for event in other.events
    )
