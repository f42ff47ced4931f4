"""What the function of a LambdaLR multiplies the learning rate by: its values at chosen steps, statement by statement.

Numbers that nobody knows, as the length of a warm-up, are tried out: what holds for all of them holds for the schedule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

from gradlint.facts import code
from gradlint.facts.schedule import ARITHMETIC, argument, looked_up
from gradlint.facts.values import FunctionValue, Partial, Scheduler, Value, number

STEPS = (*range(20), *(int(10 ** (n / 10)) + k for n in range(13, 46) for k in (-1, 0, 1)))
TRIALS = (0.01, 100.0, 10_000.0)
UNKNOWNS = 3
"""Numbers that are tried out together; beyond that a schedule counts as unknown."""


DEPTH = 3
"""Local calls inside one another."""


class _UnseenError(Exception):
    """A part of the function that does not come to a number."""


def reach(scheduler: Scheduler) -> tuple[float, float] | None:
    """The factor at the start and the greatest one, each the least of all trials; None where they cannot be told."""
    given = argument(scheduler, "lr_lambda")
    passed: dict[str, Value] = {}
    if isinstance(given, Partial):
        passed = given.keywords
        given = given.func
    if scheduler.name != "LambdaLR" or not isinstance(given, FunctionValue):
        return None
    names = [parameter.name for parameter in given.node.parameters[given.receiver is not None :]]
    steps = [name for name in names if name not in passed]
    if not steps:
        return None
    unknown: dict[str, None] = {}
    _run(given, passed, {steps[0]: 1.0}, unknown, {})
    found = []
    for trial in itertools.product(TRIALS, repeat=min(len(unknown), UNKNOWNS)):
        tried = dict(zip(unknown, trial, strict=False))
        factors = [_run(given, passed, {steps[0]: float(step)}, unknown, tried) for step in STEPS]
        known = [factor for factor in factors if factor is not None]
        if not known or len(unknown) > UNKNOWNS:
            return None
        found.append((known[0], max(known)))
    return min(start for start, _ in found), min(peak for _, peak in found)


def _run(
    function: FunctionValue, passed: dict[str, Value], known: dict[str, float], unknown: dict[str, None],
    tried: dict[str, float],
) -> float | None:  # fmt: skip
    run = _Run(function, passed, known, unknown, tried)
    try:
        if isinstance(function.node, code.Lambda):
            return run.number(function.node.body)
        return run.block(function.node.body)
    except (_UnseenError, ArithmeticError, ValueError, TypeError):
        return None


class _Run:
    """One call of the function; `unknown` gathers what has to be tried out."""

    def __init__(
        self, function: FunctionValue, passed: dict[str, Value], known: dict[str, float], unknown: dict[str, None],
        tried: dict[str, float],
        depth: int = 0,
    ) -> None:  # fmt: skip
        self.depth = depth
        self.function, self.passed, self.known, self.unknown, self.tried = function, passed, known, unknown, tried

    def block(self, statements: list[code.Stmt]) -> float | None:
        for statement in statements:
            if isinstance(statement, code.Return) and statement.value is not None:
                return self.number(statement.value)
            if isinstance(statement, code.If):
                found = self.block(statement.body if self.holds(statement.test) else statement.orelse)
                if found is not None:
                    return found
            elif isinstance(statement, code.Assign) and isinstance(statement.targets[0], code.Name):
                self.known[statement.targets[0].name] = self.number(statement.value)
            elif not isinstance(statement, code.Evaluate):
                raise _UnseenError
        return None

    def holds(self, test: code.Expr) -> bool:
        if isinstance(test, code.Compare) and all(op in _ORDER for op, _ in test.rest):
            sides = [self.number(test.left), *(self.number(side) for _, side in test.rest)]
            return all(_ORDER[op](a, b) for (op, _), a, b in zip(test.rest, sides, sides[1:], strict=False))
        if isinstance(test, code.Logic):
            return (all if test.op == "and" else any)(self.holds(part) for part in test.values)
        raise _UnseenError

    def number(self, expr: code.Expr) -> float:
        if isinstance(expr, code.Literal) and isinstance(expr.value, (int, float)):
            return float(expr.value)
        if isinstance(expr, (code.Name, code.Attribute)):
            return self._named(expr)
        if isinstance(expr, code.Unary) and expr.op == "-":
            return -self.number(expr.value)
        if isinstance(expr, code.Binary) and expr.op in ARITHMETIC:
            return float(ARITHMETIC[expr.op](self.number(expr.left), self.number(expr.right)))
        if isinstance(expr, code.Conditional):
            return self.number(expr.body if self.holds(expr.test) else expr.orelse)
        if isinstance(expr, code.Call) and isinstance(expr.func, (code.Name, code.Attribute)):
            function = _FUNCTIONS.get(expr.func.name)
            if function is not None and not any(a.name or a.star for a in expr.arguments):
                return float(function(*(self.number(a.value) for a in expr.arguments)))
            if isinstance(expr.func, code.Name) and self.depth < DEPTH:
                return self._called(expr)
        raise _UnseenError

    def _called(self, expr: code.Call) -> float:
        """A call of a function of the project."""
        callee = looked_up(expr.func, self.function)
        if not isinstance(callee, FunctionValue) or any(a.star for a in expr.arguments):
            raise _UnseenError
        parameters = callee.node.parameters
        known = {a.name or p.name: self.number(a.value) for a, p in zip(expr.arguments, parameters, strict=False)}
        inner = _Run(callee, {}, known, self.unknown, self.tried, self.depth + 1)
        for parameter in parameters:
            if parameter.name not in known and parameter.default is not None:
                known[parameter.name] = inner.number(parameter.default)
        found = (
            inner.number(callee.node.body) if isinstance(callee.node, code.Lambda) else inner.block(callee.node.body)
        )
        if found is None:
            raise _UnseenError
        return found

    def _named(self, expr: code.Name | code.Attribute) -> float:
        if isinstance(expr, code.Name) and expr.name in self.known:
            return self.known[expr.name]
        if expr.name == "pi":
            return math.pi
        value = self.passed.get(expr.name) if isinstance(expr, code.Name) else None
        found = number(value if value is not None else looked_up(expr, self.function))
        if found is not None:
            return found
        text = ".".join(_path(expr))
        self.unknown.setdefault(text)
        return self.tried.get(text, TRIALS[1])


def _path(expr: code.Expr) -> Iterator[str]:
    if isinstance(expr, code.Attribute):
        yield from _path(expr.base)
        yield expr.name
    elif isinstance(expr, code.Name):
        yield expr.name
    else:
        raise _UnseenError


_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min, "max": max, "cos": math.cos, "sin": math.sin, "sqrt": math.sqrt, "exp": math.exp, "float": float,
    "int": int, "pow": math.pow, "abs": abs, "log": math.log,
}  # fmt: skip
