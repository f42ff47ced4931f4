"""GL707: roots, normalisations and inverse cosines at the point where their derivative is infinite."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import reach, spelling
from gradlint.facts.formulas import EVERYTHING, Formula
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_ENDS = "±1"


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every such step in the loss path by the range of its argument."""
    guarded = reach.under_where(facts) | reach.under_test(facts)
    seen = set()
    for calculation in reach.in_loss(facts, "sqrt", "rsqrt", "**", "/", "acos", "asin"):
        place, formula = calculation.place, calculation.formula
        found = None if place in seen or place in guarded else _point(formula)
        if found is None:
            continue
        seen.add(place)
        point, argument = found
        values = {
            "expression": spelling.spelled(facts, place, formula.op),
            "point": point,
            "range": str(EVERYTHING if reach.signed(argument) else argument.interval),
        }
        yield Finding("infinite-derivative-at-zero", place.path, Range(*place.at), values)


def _point(formula: Formula) -> tuple[str, Formula] | None:
    """The point and the argument that can reach it."""
    argument = formula.inputs[0] if formula.inputs else formula
    if formula.op in ("acos", "asin"):
        interval = argument.interval
        return (_ENDS, argument) if interval.known and (interval.contains(1.0) or interval.contains(-1.0)) else None
    if formula.op == "/":
        divisor = formula.inputs[1]
        own = divisor.op in ("norm", "vector_norm") and divisor.inputs[0].same(argument)
        return ("0", divisor) if own and reach.zero(divisor) and reach.zero(argument) else None
    if formula.op == "**" and (formula.number is None or formula.number == 0 or formula.number >= 1):
        return None
    if reach.signed(argument) and (formula.op != "**" or (formula.number or 0.0) % 1):
        return "0", argument
    # An inverse is infinite itself where its slope is: it takes more than an entry that may be 0.
    inverse = formula.op == "**" and (formula.number or 0.0) <= -1
    reached = reach.bounded_by_zero(argument) and reach.made_zero(argument, not inverse)
    return ("0", argument) if reached and not reach.sifted(argument) else None
