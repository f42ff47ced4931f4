"""What the target of a loss is: class labels, numbers of known bounds, numbers of both signs."""

from __future__ import annotations

import math
import re

from gradlint.facts.formulas import Formula
from gradlint.facts.interpret import ranges
from gradlint.facts.interpret.ranges import DISTANCES
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Collection, Initialiser, Tensor, Unknown, Value, number

_SIGNED_AS_WHAT_THEY_TAKE = frozenset({"item", "select", "/", "cat", "sum", "mean", "roll"})
_CLASSES = re.compile(r"(^|_)(labels?|class(es)?|onehot|one_hot)(_|$)", re.IGNORECASE)


def are_classes(facts: TrainingFacts, target: Value | None) -> bool:
    """Whether a target is surely class labels: one-hot, a literal of zeros and ones, or named so."""
    if not isinstance(target, (Tensor, Unknown)):
        return False
    if labels(target):
        return True
    formula = _below(ranges.formula_of(target))
    listed = _listed(formula.value)
    if listed is not None:
        return set(listed) == {0.0, 1.0}
    return isinstance(target, Unknown) and any(map(_CLASSES.search, (target.hint, facts.name_of(target, ""))))


def labels(target: Value | None) -> str:
    """What class labels a target surely is: one-hot, or the index of a class; empty where neither is certain."""
    whole = ranges.formula_of(target)
    formula = _below(whole)
    if formula.op == "classes":
        return "the index of a class"
    return "one-hot labels" if formula.op == "one_hot" or (whole is not formula and _identity(formula.value)) else ""


def bounds(target: Value | None) -> tuple[float, float] | None:
    """The smallest and largest value that a target takes, where both are known."""
    formula = ranges.formula_of(target)
    listed = _listed(_below(formula).value)
    if listed:
        return min(listed), max(listed)
    return (formula.interval.low, formula.interval.high) if formula.interval.known else None


def is_normal(target: Value | None) -> bool:
    """Whether a target surely is drawn from the standard normal distribution."""
    return _below(ranges.formula_of(target)).op in ("randn", "randn_like")


def is_standardised(target: Value | None) -> bool:
    """Whether a target surely is less its own mean and divided by its own standard deviation."""
    formula = _below(ranges.formula_of(target))
    if formula.op != "/" or formula.inputs[0].op != "-":
        return False
    (whole, mean), scale = formula.inputs[0].inputs, formula.inputs[1]
    spread = scale.inputs[0] if scale.op in ("+", "clamp", "maximum") and scale.inputs else scale
    return mean.op == "mean" and spread.op == "std" and mean.inputs[0].same(whole) and spread.inputs[0].same(whole)


def takes_both_signs(target: Value | None) -> bool:
    """Whether a target is surely negative in part: drawn from a normal distribution, or less its own mean."""
    return _signed(ranges.formula_of(target))


def _signed(formula: Formula) -> bool:
    if formula.op in ("randn", "randn_like", "@"):
        return True
    if formula.op == "-" and len(formula.inputs) == 2:
        second = formula.inputs[1]
        return second.op == "mean" and second.inputs[0].same(formula.inputs[0])
    if formula.op in ("sin", "cos") and formula.inputs:
        angle = formula.inputs[0].interval
        return angle.known and angle.high - angle.low >= 2 * math.pi
    if formula.op == "*" and len(formula.inputs) == 2:
        one, other = formula.inputs
        return (_signed(one) and _one_sided(other)) or (_signed(other) and _one_sided(one))
    return formula.op in _SIGNED_AS_WHAT_THEY_TAKE and bool(formula.inputs) and _signed(formula.inputs[0])


def _one_sided(formula: Formula) -> bool:
    return formula.interval.known and (formula.interval.low > 0.0 or formula.interval.high < 0.0)


def _below(formula: Formula) -> Formula:
    while formula.op in ("item", "select") and formula.inputs:
        formula = formula.inputs[0]
    return formula


def _identity(value: Value | None) -> bool:
    """Whether a value is `torch.eye(n)`, whose rows are one-hot."""
    made = value.made.get("weight") if isinstance(value, Tensor) and value.made is not None else None
    return isinstance(made, Initialiser) and made.kind == "eye"


def _listed(value: Value | None) -> list[float] | None:
    """The numbers that `torch.tensor([...])` was given."""
    made = value.made.get("weight") if isinstance(value, Tensor) and value.made is not None else None
    if not isinstance(made, Initialiser) or made.kind != "tensor" or not made.arguments:
        return None
    flat = _flat(made.arguments[0])
    return [found for found in flat if found is not None] if flat and None not in flat else None


def _flat(value: Value) -> list[float | None]:
    if isinstance(value, Collection):
        return [None] if value.open else [number_ for item in value.items for number_ in _flat(item)]
    return [number(value)]


__all__ = ["DISTANCES", "are_classes", "bounds", "labels", "takes_both_signs"]
