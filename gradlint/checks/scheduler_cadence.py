"""GL109: a schedule counted in batches that is stepped once an epoch, or counted in epochs and stepped once a batch."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import schedule
from gradlint.facts.events import OptimizerStep, Repeat, Run, SchedulerStep, walk
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
    Steps,
    Unknown,
    Value,
    constant,
    number,
)  # fmt: skip
from gradlint.options import Options

_LENGTHS = {
    "CosineAnnealingLR": (1, "T_max"), "LinearLR": (3, "total_iters"), "PolynomialLR": (1, "total_iters"),
    "StepLR": (1, "step_size"), "OneCycleLR": (2, "total_steps"), "MultiStepLR": (1, "milestones"),
    "get_cosine_schedule_with_warmup": (2, "num_training_steps"),
    "get_linear_schedule_with_warmup": (2, "num_training_steps"),
    "get_polynomial_decay_schedule_with_warmup": (2, "num_training_steps"),
    "get_cosine_with_hard_restarts_schedule_with_warmup": (2, "num_training_steps"),
}  # fmt: skip
"""Where each scheduler takes its length."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Compare the unit of each schedule's length with the loop that steps it."""
    seen: set[object] = set()
    for run in facts.runs:
        events = [e for e in walk(run.tree) if isinstance(e, SchedulerStep)]
        for event in events:
            scheduler = event.scheduler
            if not isinstance(scheduler, Scheduler) or event.place in seen or event.metric is not None:
                continue
            if sum(e.scheduler is scheduler for e in events) > 1:
                continue
            found = _cadence(run, event, scheduler)
            unit = _unit(scheduler, found[1]) if found is not None else ""
            if found is not None and unit and unit != found[0]:
                seen.add(event.place)
                yield _finding(facts, scheduler, unit, event.place)
        for scheduler, cadence in _configured(facts, run):
            unit = _unit(scheduler, None)
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
    steps = [e for e in walk(run.tree) if isinstance(e, OptimizerStep) and any(e.optimizer is one for one in ways)]
    if len({step.place for step in steps}) != 1 or not around:
        return None
    loops = repeats_around(run.tree, steps[0])
    if len(loops) < 2 or loops[: len(around)] != around:
        return None
    if len(around) == len(loops):
        return "batch", loops[-2]
    return ("epoch", around[-1]) if len(around) == len(loops) - 1 else None


def _unit(scheduler: Scheduler, epochs: Repeat | None) -> str:
    """The unit of a schedule's length: batch, epoch or unknown."""
    if "steps_per_epoch" in scheduler.keywords:
        steps = scheduler.keywords["steps_per_epoch"]
        return "epoch" if number(steps) == 1 else "batch"
    position, name = _LENGTHS.get(scheduler.name, (99, ""))
    length = scheduler.keywords.get(name)
    if length is None and position < len(scheduler.arguments):
        length = scheduler.arguments[position]
    bound = (
        epochs.over.arguments[-1]
        if epochs is not None
        and isinstance(epochs.over, Steps)
        and epochs.over.kind == "range"
        and epochs.over.arguments
        else None
    )
    if scheduler.name == "LambdaLR":
        units = {_of_length(divisor, bound) for divisor in schedule.divisors(scheduler)} - {""}
        return units.pop() if len(units) == 1 else ""
    if length is None:
        return ""
    unit = _of_length(length, bound)
    if unit or bound is None:
        return unit
    return "epoch" if _collapses(scheduler, number(length), number(bound)) else ""


def _of_length(length: Value, bound: Value | None) -> str:
    """The unit in which a length is counted: a loader's length in batches, that of the epoch loop in epochs."""
    if isinstance(length, Unknown) and (
        length.origin == "length" or length.hint.endswith(".estimated_stepping_batches")
    ):
        return "batch"
    return "epoch" if bound is not None and _counts(length, bound) else ""


def _collapses(scheduler: Scheduler, size: float | None, epochs: float | None) -> bool:
    """Whether steps of StepLR that lie within the epochs would take three decades off the rate in 100 batches."""
    if scheduler.name != "StepLR" or size is None or epochs is None or not 0 < size < epochs:
        return False
    fallen = schedule.decades(scheduler, 100)
    return fallen is not None and fallen <= -3.0


def _counts(length: Value, epochs: Value) -> bool:
    """Whether a length is the number of epochs, or lies at milestones within it."""
    if isinstance(length, Collection):
        last, total = [number(item) for item in length.items], number(epochs)
        return bool(last) and total is not None and all(point is not None and point < total for point in last)
    if isinstance(length, Constant) and isinstance(epochs, Constant):
        return number(length) is not None and length.value == epochs.value
    return length is epochs
