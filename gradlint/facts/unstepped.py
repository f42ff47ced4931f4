"""Optimizers that get gradients in a loop and that nothing ever steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Construct,
    GradEdit,
    ManualUpdate,
    OptimizerStep,
    Run,
    SchedulerStep,
    repeats,
    walk,
)  # fmt: skip
from gradlint.facts.handed import handed
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Optimizer, Scheduler


@dataclass(slots=True, frozen=True)
class Unstepped:
    """`backward` fills the gradients of `optimizer` in vain; `scheduler` is the step of its scheduler, if any."""

    optimizer: Optimizer
    backward: Backward
    scheduler: SchedulerStep | None


def unstepped(facts: TrainingFacts) -> Iterator[Unstepped]:
    """Every known optimizer of the file that gets gradients in a loop, is stepped nowhere and is in nobody else's
    hands.
    """
    events = [event for run in facts.runs for event in walk(run.tree)]
    stepped = [e.optimizer for e in events if isinstance(e, OptimizerStep)]
    if any(not isinstance(o, Optimizer) for o in stepped) or any(
        isinstance(e, ManualUpdate) or (isinstance(e, GradEdit) and e.fresh) for e in events
    ):
        return
    if any(call.name.startswith("Gradient.") for call in facts.calls):
        return
    built = dict.fromkeys(e.value for e in events if isinstance(e, Construct) and isinstance(e.value, Optimizer))
    places = {o.place for o in stepped if isinstance(o, Optimizer)}
    for run in facts.runs:
        inside = [e for loop in repeats(run.tree) for e in walk(loop.body) if isinstance(e, Backward)]
        for optimizer in built:
            assert isinstance(optimizer, Optimizer)
            if (
                optimizer.place in places
                or not optimizer.known
                or optimizer.managed == "deepspeed"
                or handed(facts, optimizer)
            ):
                continue
            reached = [e for e in inside if relations.reaches(e, optimizer)]
            if reached:
                own = [e for e in reached if not any(relations.reaches(e, o) for o in stepped)]
                places.add(optimizer.place)
                yield Unstepped(optimizer, (own or reached)[0], _scheduler(run, optimizer))


def _scheduler(run: Run, optimizer: Optimizer) -> SchedulerStep | None:
    for event in walk(run.tree):
        if (
            isinstance(event, SchedulerStep)
            and isinstance(event.scheduler, Scheduler)
            and event.scheduler.optimizer is optimizer
        ):
            return event
    return None
