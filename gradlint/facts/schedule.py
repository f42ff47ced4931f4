"""The learning rate over a run: what a scheduler makes of it after so many steps, and how many steps there are.

Formulas are those of torch.optim.lr_scheduler in closed form, as a factor on the learning rate at the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gradlint.facts import code
from gradlint.facts.events import Repeat, SchedulerStep
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import (
    Collection,
    FunctionValue,
    Instance,
    Mapping,
    Scheduler,
    Steps,
    Unknown,
    Value,
    constant,
    integer,
    number,
)  # fmt: skip

_POSITIONS = {
    "ExponentialLR": ("optimizer", "gamma"), "StepLR": ("optimizer", "step_size", "gamma"),
    "MultiStepLR": ("optimizer", "milestones", "gamma"), "LambdaLR": ("optimizer", "lr_lambda"),
    "ReduceLROnPlateau": ("optimizer", "mode", "factor", "patience"),
    "CosineAnnealingLR": ("optimizer", "T_max", "eta_min"),
    "LinearLR": ("optimizer", "start_factor", "end_factor", "total_iters"),
    "MultiplicativeLR": ("optimizer", "lr_lambda"),
    "SequentialLR": ("optimizer", "schedulers", "milestones"),
    "ConstantLR": ("optimizer", "factor", "total_iters"), "PolynomialLR": ("optimizer", "total_iters", "power"),
}  # fmt: skip


def argument(scheduler: Scheduler, name: str) -> Value | None:
    """What a scheduler was given for one of its parameters, None where it was not given."""
    if name in scheduler.keywords:
        return scheduler.keywords[name]
    order = _POSITIONS.get(scheduler.name, ())
    position = order.index(name) if name in order else len(scheduler.arguments)
    return scheduler.arguments[position] if position < len(scheduler.arguments) else None


def _setting(scheduler: Scheduler, name: str, default: float) -> float | None:
    given = argument(scheduler, name)
    return default if given is None else number(given)


def decades(scheduler: Scheduler, step: int) -> float | None:
    """log10 of the learning rate after `step` scheduler steps over the one at the start; None where unknown."""
    formula = _FORMULAS.get(scheduler.name)
    return formula(scheduler, step) if formula is not None else None


def _powers(gamma: float | None, times: int) -> float | None:
    return times * math.log10(gamma) if gamma is not None and gamma > 0.0 else None


def _exponential(scheduler: Scheduler, step: int) -> float | None:
    return _powers(number(argument(scheduler, "gamma")), step)


def _stairs(scheduler: Scheduler, step: int) -> float | None:
    size = integer(argument(scheduler, "step_size"))
    return _powers(_setting(scheduler, "gamma", 0.1), step // size) if size else None


def _milestones(scheduler: Scheduler, step: int) -> float | None:
    given = argument(scheduler, "milestones")
    if not isinstance(given, Collection) or given.open:
        return None
    places = [integer(item) for item in given.items]
    if None in places:
        return None
    return _powers(_setting(scheduler, "gamma", 0.1), sum(place is not None and place <= step for place in places))


def _lambda(scheduler: Scheduler, step: int) -> float | None:
    given = argument(scheduler, "lr_lambda")
    if (
        not isinstance(given, FunctionValue)
        or not isinstance(given.node, code.Lambda)
        or len(given.node.parameters) != 1
    ):
        return None
    known = {given.node.parameters[0].name: float(step)}
    start = {given.node.parameters[0].name: 0.0}
    after, before = _value(given.node.body, known, given), _value(given.node.body, start, given)
    if after is None or before is None or after <= 0.0 or before <= 0.0:
        return None
    return math.log10(after / before)


def measures(scheduler: Scheduler) -> Iterator[Value]:
    """What the factor of a LambdaLR holds the step against: `lambda it: (1 - it / total) ** 0.9`, `it < warmup`."""
    given = argument(scheduler, "lr_lambda")
    if isinstance(given, FunctionValue) and given.node.parameters:
        yield from _measures(given, given.node.parameters[-1].name, {})


def _measures(function: FunctionValue, step: str, given: dict[str, tuple[code.Expr, FunctionValue]]) -> Iterator[Value]:
    """Of one function; `given` holds what its other parameters were called with, and where."""
    for node in code.walk(function.node.body):
        if isinstance(node, code.Binary) and node.op == "/" and _mentions(node.left, step):
            yield from _inside(node.right, function, given)
        elif isinstance(node, code.Compare) and _mentions(node.left, step):
            found = [value for _, right in node.rest for value in _inside(right, function, given)]
            yield from (value for value in found if isinstance(value, Unknown))
        elif isinstance(node, code.Call) and not given:
            callee = looked_up(node.func, function)
            names = [p.name for p in callee.node.parameters] if isinstance(callee, FunctionValue) else []
            passed = {item.name or name: item.value for name, item in zip(names, node.arguments, strict=False)}
            steps = [name for name, expr in passed.items() if isinstance(expr, code.Name) and expr.name == step]
            if isinstance(callee, FunctionValue) and steps:
                yield from _measures(callee, steps[0], {name: (expr, function) for name, expr in passed.items()})


def _inside(
    expr: code.Expr, function: FunctionValue, given: dict[str, tuple[code.Expr, FunctionValue]]
) -> Iterator[Value]:
    """What the names of an expression stand for."""
    for node in code.walk(expr):
        if isinstance(node, code.Name) and node.name in given:
            passed, caller = given[node.name]
            yield from _inside(passed, caller, {})
        elif isinstance(node, (code.Name, code.Attribute)):
            found = looked_up(node, function)
            if found is not None:
                yield found


def _mentions(expr: code.Expr, name: str) -> bool:
    return any(isinstance(node, code.Name) and node.name == name for node in code.walk(expr))


def looked_up(expr: code.Expr, function: FunctionValue) -> Value | None:
    """What a name or attribute stands for where a function was defined."""
    if isinstance(expr, code.Name):
        holder = function.scope.holder(expr.name)
        return holder.get(expr.name) if holder is not None else None
    if isinstance(expr, code.Attribute):
        base = looked_up(expr.base, function)
        if isinstance(base, Mapping):
            return base.items.get(expr.name)
        return base.attributes.get(expr.name) if isinstance(base, Instance) else None
    return None


def _value(expr: code.Expr, known: dict[str, float], function: FunctionValue) -> float | None:
    """The number that an expression over the step and constants comes to."""
    if isinstance(expr, code.Literal):
        return float(expr.value) if isinstance(expr.value, (int, float)) else None
    if isinstance(expr, code.Name):
        found = known.get(expr.name)
        return found if found is not None else number(function.scope.get(expr.name))
    if isinstance(expr, code.Unary) and expr.op == "-":
        inner = _value(expr.value, known, function)
        return None if inner is None else -inner
    if isinstance(expr, code.Binary):
        left, right = _value(expr.left, known, function), _value(expr.right, known, function)
        if left is None or right is None or expr.op not in ARITHMETIC:
            return None
        try:
            return float(ARITHMETIC[expr.op](left, right))
        except (ArithmeticError, ValueError, TypeError):
            return None
    return None


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "**": lambda a, b: math.pow(a, b), "%": lambda a, b: a % b,
}  # fmt: skip
_FORMULAS: dict[str, Callable[[Scheduler, int], float | None]] = {
    "ExponentialLR": _exponential, "StepLR": _stairs, "MultiStepLR": _milestones, "LambdaLR": _lambda,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """How often a scheduler is stepped in a run of known length; `unit` is epoch or step."""

    total: int
    unit: str


def course(facts: TrainingFacts, scheduler: Scheduler) -> Course | None:
    """The number of steps a scheduler takes, from the loops around the one place that steps it; None where unknown."""
    found: list[Course | None] = []
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, SchedulerStep) and event.scheduler is scheduler:
                loops = repeats_around(run.tree, event)
                found.append(_course(loops))
    known = {item for item in found if item is not None}
    return known.pop() if len(known) == 1 and None not in found else None


def _course(loops: list[Repeat]) -> Course | None:
    counts = [rounds(loop.over) for loop in loops]
    if not counts or None in counts:
        return None
    total = math.prod(count for count in counts if count is not None)
    inner = any(not isinstance(node, Repeat) for node in loops[-1].body) and _has_loop(loops[-1])
    return Course(total, "epoch" if inner else "step")


def _has_loop(loop: Repeat) -> bool:
    return any(isinstance(node, Repeat) for node in loop.body)


def rounds(over: Value | None) -> int | None:
    """How often a loop over something runs, where that is a range of known numbers or a list."""
    if isinstance(over, Steps) and over.kind == "range":
        bounds = [integer(value) for value in over.arguments]
        if None in bounds or not bounds or (len(bounds) == 3 and bounds[2] == 0):
            return None
        return len(range(*[bound for bound in bounds if bound is not None]))
    if isinstance(over, Steps) and over.kind in ("enumerate", "reversed") and over.arguments:
        return rounds(over.arguments[0])
    if isinstance(over, Collection) and not over.open:
        return len(over.items)
    return None


def grows(scheduler: Scheduler) -> tuple[str, float] | None:
    """The setting by which a schedule multiplies the rate by 1 or more for ever, with its value."""
    name, default = {"ReduceLROnPlateau": ("factor", 0.1), "ExponentialLR": ("gamma", 0.0)}.get(
        scheduler.name, ("gamma", 0.1)
    )
    if scheduler.name not in ("ReduceLROnPlateau", "ExponentialLR", "StepLR", "MultiStepLR"):
        return None
    value = _setting(scheduler, name, default)
    limit = 1.0 if name == "factor" else math.nextafter(1.0, 2.0)
    return (name, value) if value is not None and value >= limit else None


def mode(scheduler: Scheduler) -> str | None:
    """`min` or `max` of a plateau scheduler, None where it is not known."""
    given = argument(scheduler, "mode")
    found = "min" if given is None else constant(given)
    return found if found in ("min", "max") and isinstance(found, str) else None
