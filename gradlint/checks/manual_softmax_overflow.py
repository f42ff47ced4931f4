"""GL709: a softmax or log-sum-exp written out with exponentials that nothing keeps from overflowing."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import spelling
from gradlint.facts.formulas import Formula
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Tensor, Unknown
from gradlint.options import Options

_LIMIT = 88.7
"""exp is infinite from here on in float32."""
_AROUND = frozenset({"+", "clamp", "item", "mean", "masked_fill"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every quotient and logarithm of a sum of exponentials."""
    seen = set()
    for calculation in facts.calculations:
        place, formula = calculation.place, calculation.formula
        torch = calculation.attached or calculation.in_loss or isinstance(formula.value, Tensor)
        if place in seen or place.path != facts.path or calculation.recording is False or not torch:
            continue
        exponential = _softmax(formula) if formula.op == "/" else _logsumexp(formula) if formula.op == "log" else None
        if exponential is None or _parameters(exponential.inputs[0]) or not _unbounded(exponential.inputs[0]):
            continue
        seen.add(place)
        replacement = "torch.softmax(x, dim)" if formula.op == "/" else "torch.logsumexp(x, dim)"
        values: dict[str, str | int | float] = {
            "expression": spelling.spelled(facts, place, formula.op),
            "limit": _LIMIT,
        }
        values["replacement"] = replacement
        yield Finding("manual-softmax-overflow", place.path, Range(*place.at), values)


def _softmax(quotient: Formula) -> Formula | None:
    """The exponential that is divided by its own sum."""
    above, below = quotient.inputs
    found = _exponential(above)
    if found is None:
        return None
    return found if any(part.same(above) for part in _terms(below)) else None


def _logsumexp(logarithm: Formula) -> Formula | None:
    """The exponential whose sum or mean the logarithm is taken of."""
    argument = logarithm.inputs[0]
    if not any(step.op in ("sum", "mean") for step in _steps(argument)):
        return None
    return next((found for part in _terms(argument) if (found := _exponential(part)) is not None), None)


def _exponential(formula: Formula) -> Formula | None:
    """The exponential in a product of weights or masks."""
    while formula.op in ("*", "item", "masked_fill", "dropout"):
        parts = [part for part in formula.inputs if _exponential(part) is not None]
        if not parts:
            return None
        formula = parts[0]
    return formula if formula.op == "exp" else None


def _steps(formula: Formula) -> Iterator[Formula]:
    """A sum, the sums it consists of and what stands round them."""
    yield formula
    if formula.op in _AROUND or formula.op == "sum":
        for part in formula.inputs:
            yield from _steps(part)


def _terms(formula: Formula) -> Iterator[Formula]:
    """What is summed up, on however many levels."""
    return (step for step in _steps(formula) if step.op not in _AROUND and step.op != "sum")


def _parameters(formula: Formula, depth: int = 12) -> bool:
    """Whether it is computed from free parameters alone: no input can drive it up, a step moves it by about lr."""
    if formula.inputs:
        return depth > 0 and all(part.op == "number" or _parameters(part, depth - 1) for part in formula.inputs)
    return isinstance(formula.value, Tensor) and formula.value.parameter


def _kernel(formula: Formula) -> bool:
    """Whether it is a distance times a coefficient with a minus in front: `-gamma * (x - y) ** 2`."""
    if formula.op == "neg":
        return _distance(formula.inputs[0])
    return _distance(formula) and formula.op == "*" and any(part.op == "neg" for part in formula.inputs)


def _distance(formula: Formula) -> bool:
    """Whether it is a distance times or by a coefficient, or a sum of such: `x ** 2 / (2 * a ** 2) + y ** 2 / b`."""
    if formula.op == "+":
        return all(_distance(part) for part in formula.inputs)
    if formula.op == "*":
        return any(part.interval.non_negative for part in formula.inputs)
    return formula.op == "/" and formula.inputs[0].interval.non_negative


def _unbounded(formula: Formula, depth: int = 12) -> bool:
    """Whether nothing in sight keeps a value below the limit."""
    if formula.op == "-" and formula.inputs[1].op != "number":
        return False
    if formula.interval.known:
        return formula.interval.high > _LIMIT
    if depth == 0 or _kernel(formula):
        return False
    if formula.op in ("*", "@"):
        return all(part.op == "number" or _unbounded(part, depth - 1) for part in formula.inputs)
    if formula.op in ("/", "item", "masked_fill"):
        return _unbounded(formula.inputs[0], depth - 1)
    if formula.op == "clamp":
        return False
    if formula.inputs:
        return any(_unbounded(part, depth - 1) for part in formula.inputs)
    # What unseen code returns may be log-probabilities as well as scores.
    value = formula.value
    return not (isinstance(value, Unknown) and value.origin == "call") and getattr(value, "attribute", "") != "log_prob"
