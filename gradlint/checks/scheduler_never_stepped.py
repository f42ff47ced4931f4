"""GL110: a learning-rate scheduler that is built and never stepped."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Construct, OptimizerStep, Run, SchedulerStep
from gradlint.facts.handed import handed, steps_itself
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Choice, Instance, Scheduler, Unknown, Value, number
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge each scheduler whose optimizer is trained in sight."""
    events = [event for run in facts.runs for event in run.events]
    stepped = [e.scheduler for e in events if isinstance(e, SchedulerStep)]
    if not all(isinstance(scheduler, Scheduler) for scheduler in stepped):
        return
    places = {scheduler.place for scheduler in stepped if isinstance(scheduler, Scheduler)}
    for run in facts.runs:
        for event in run.events:
            scheduler = event.value if isinstance(event, Construct) else None
            if not isinstance(scheduler, Scheduler) or scheduler.place in places or not _judged(facts, run, scheduler):
                continue
            places.add(scheduler.place)
            if handed(facts, scheduler) or steps_itself(facts, scheduler) or _part(facts, scheduler):
                continue
            values = {
                "scheduler": facts.name_of(scheduler, "scheduler"),
                "kind": scheduler.name,
                "start": _start(scheduler),
            }
            yield Finding("scheduler-never-stepped", scheduler.place.path, Range(*scheduler.place.at), values)


def _judged(facts: TrainingFacts, run: Run, scheduler: Scheduler) -> bool:
    """Whether the code that would step it can be seen: its optimizer is stepped in sight, or a framework takes what the
    run returns.
    """
    if run.managed:
        return run.name.endswith(".configure_optimizers") and not isinstance(run.result, Unknown)
    steps = [e for other in facts.runs for e in other.events if isinstance(e, OptimizerStep)]
    ways = scheduler.optimizer.options if isinstance(scheduler.optimizer, Choice) else ()
    if not any(e.optimizer is one for e in steps for one in (scheduler.optimizer, *ways)):
        return False
    elsewhere = scheduler.place.path != facts.path
    return not any(
        write.value is scheduler and isinstance(write.owner, Instance) and (write.owner.assumed or elsewhere)
        for write in facts.writes
    )


def _part(facts: TrainingFacts, scheduler: Scheduler) -> bool:
    """Whether another scheduler drives it."""
    others = [other for other in facts.schedulers if other is not scheduler]
    given: list[Value] = [value for other in others for value in (*other.arguments, *other.keywords.values())]
    return any(relations.holds(value, scheduler) for value in given)


def _start(scheduler: Scheduler) -> str:
    """What the learning rate stays at."""
    peak = number(scheduler.keywords.get("max_lr"))
    if scheduler.name == "OneCycleLR":
        return f"{peak / 25:g}, a 25th of its maximum" if peak is not None else "a 25th of its maximum"
    if "warmup" in scheduler.name:
        return "the first value of the warm-up, 0"
    return "its first value"
