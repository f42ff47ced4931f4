"""GL109: a schedule counted in batches that is stepped once an epoch, or counted in epochs and stepped once a batch."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.cadence import unit_of
from gradlint.facts.events import OptimizerStep, Repeat, Run, SchedulerStep
from gradlint.facts.lightning import manual
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    Mapping,
    Place,
    Scheduler,
    Value,
    constant,
)  # fmt: skip
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Compare the unit of each schedule's length with the loop that steps it."""
    seen: set[object] = set()
    for run in facts.runs:
        events = [e for e in run.events if isinstance(e, SchedulerStep)]
        for event in events:
            scheduler = event.scheduler
            if not isinstance(scheduler, Scheduler) or event.place in seen or event.metric is not None:
                continue
            if sum(e.scheduler is scheduler for e in events) > 1:
                continue
            found = _cadence(run, event, scheduler)
            unit = unit_of(scheduler, found[1]) if found is not None else ""
            if found is not None and unit and unit != found[0]:
                seen.add(event.place)
                yield _finding(facts, scheduler, unit, event.place)
        for scheduler, cadence in _configured(facts, run):
            unit = unit_of(scheduler, None)
            if unit and unit != cadence and scheduler.place not in seen:
                seen.add(scheduler.place)
                yield _finding(facts, scheduler, unit, scheduler.place)


def _finding(facts: TrainingFacts, scheduler: Scheduler, unit: str, place: Place) -> Finding:
    early, late = "it has run through before the first epochs end", "it never leaves its beginning"
    values = {
        "scheduler": facts.name_of(scheduler, "scheduler"),
        "unit": {"batch": "batches", "epoch": "epochs"}[unit],
        "cadence": {"batch": "an epoch", "epoch": "a batch"}[unit],
        "consequence": {"batch": late, "epoch": early}[unit],
    }
    return Finding("scheduler-cadence", place.path, Range(*place.at), values)


def _configured(facts: TrainingFacts, run: Run) -> Iterator[tuple[Scheduler, str]]:
    """The schedulers that Lightning steps, once an epoch unless their `interval` says `step`."""
    if run.managed == "lightning" and run.name.endswith(".configure_optimizers") and not manual(facts, run):
        yield from _scheduled(run.result, "epoch")


def _scheduled(value: Value | None, cadence: str | None) -> Iterator[tuple[Scheduler, str]]:
    if isinstance(value, Scheduler) and cadence is not None:
        yield value, cadence
    elif isinstance(value, Collection):
        for item in value.items:
            yield from _scheduled(item, cadence)
    elif isinstance(value, Mapping):
        given = constant(value.items.get("interval", Constant(cadence)))
        interval = {"epoch": "epoch", "step": "batch"}.get(str(given)) if not value.open else None
        for item in value.items.values():
            yield from _scheduled(item, interval)


def _cadence(run: Run, event: SchedulerStep, scheduler: Scheduler) -> tuple[str, Repeat] | None:
    """`batch` or `epoch`, and the epoch loop; None where the loops cannot be told apart."""
    around = repeats_around(run.tree, event)
    held = scheduler.optimizer
    ways = (held, *held.options) if isinstance(held, Choice) else (held,)
    steps = [e for e in run.events if isinstance(e, OptimizerStep) and any(e.optimizer is one for one in ways)]
    if len({step.place for step in steps}) != 1 or not around:
        return None
    loops = repeats_around(run.tree, steps[0])
    if len(loops) < 2 or loops[: len(around)] != around:
        return None
    if len(around) == len(loops):
        return "batch", loops[-2]
    return ("epoch", around[-1]) if len(around) == len(loops) - 1 else None
