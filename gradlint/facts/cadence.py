"""In what a schedule counts its length, in batches or in epochs, and in what the script steps it."""

from __future__ import annotations

from gradlint.facts import schedule
from gradlint.facts.events import Repeat
from gradlint.facts.values import (
    Collection,
    Constant,
    Scheduler,
    Steps,
    Unknown,
    Value,
    number,
)  # fmt: skip

_LENGTHS = {
    "CosineAnnealingLR": (1, "T_max"), "LinearLR": (3, "total_iters"), "PolynomialLR": (1, "total_iters"),
    "StepLR": (1, "step_size"), "OneCycleLR": (2, "total_steps"), "MultiStepLR": (1, "milestones"),
    "get_cosine_schedule_with_warmup": (2, "num_training_steps"),
    "get_linear_schedule_with_warmup": (2, "num_training_steps"),
    "get_polynomial_decay_schedule_with_warmup": (2, "num_training_steps"),
    "get_cosine_with_hard_restarts_schedule_with_warmup": (2, "num_training_steps"),
}  # fmt: skip
"""Where each scheduler takes its length."""


def unit_of(scheduler: Scheduler, epochs: Repeat | None) -> str:
    """The unit of a schedule's length: batch, epoch or unknown."""
    if "steps_per_epoch" in scheduler.keywords:
        steps = scheduler.keywords["steps_per_epoch"]
        return "epoch" if number(steps) == 1 else "batch"
    length = _length(scheduler)
    bound = (
        epochs.over.arguments[-1]
        if epochs is not None
        and isinstance(epochs.over, Steps)
        and epochs.over.kind == "range"
        and epochs.over.arguments
        else None
    )
    if scheduler.name == "LambdaLR":
        units = {_of_length(value, bound) for value in schedule.measures(scheduler)} - {""}
        return units.pop() if len(units) == 1 else ""
    if scheduler.name == "SequentialLR":
        return _sequence(scheduler, bound)
    if length is None:
        return ""
    unit = _of_length(length, bound)
    if unit or bound is None:
        return unit
    return "epoch" if _collapses(scheduler, number(length), number(bound)) else ""


def _sequence(scheduler: Scheduler, bound: Value | None) -> str:
    """The unit of a sequence: batches where a part counts them, epochs where its last part ends with the epoch loop."""
    parts, ends = (schedule.argument(scheduler, name) for name in ("schedulers", "milestones"))
    if not isinstance(parts, Collection) or not isinstance(ends, Collection) or parts.open or not ends.items:
        return ""
    lengths = [_length(part) for part in parts.items if isinstance(part, Scheduler)]
    if any(length is not None and _of_length(length, None) for length in (*lengths, *ends.items)):
        return "batch"
    last, start, total = number(lengths[-1] if lengths else None), number(ends.items[-1]), number(bound)
    return "epoch" if last is not None and start is not None and last + start == total else ""


def _length(scheduler: Scheduler) -> Value | None:
    position, name = _LENGTHS.get(scheduler.name, (99, ""))
    length = scheduler.keywords.get(name)
    return scheduler.arguments[position] if length is None and position < len(scheduler.arguments) else length


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
