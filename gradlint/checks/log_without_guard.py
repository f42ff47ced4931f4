"""GL706: the logarithm of a value that can be 0 or negative."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import reach, spelling
from gradlint.facts.formulas import EVERYTHING
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_ZERO = "which can be 0: the loss is infinite there"
_FLAT = "which float32 rounds to 0 where |x| > 9: the loss is infinite there"
_SIGNED = "the plain output of a layer: NaN wherever that is negative"


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every logarithm in the loss path by the range of its argument."""
    guarded = reach.under_where(facts) | reach.under_test(facts)
    seen = set()
    for calculation in reach.in_loss(facts, "log", "log2", "log10"):
        place, formula = calculation.place, calculation.formula
        argument = formula.inputs[0]
        signed, slope = reach.signed(argument), reach.flat_tanh(argument)
        if place in seen or place in guarded or not (signed or slope or reach.zero(argument)):
            continue
        seen.add(place)
        values = {
            "expression": spelling.spelled(facts, place, formula.op),
            "range": str(EVERYTHING if signed else slope.interval if slope else argument.interval),
            "problem": _SIGNED if signed else _FLAT if slope else _ZERO,
        }
        yield Finding("log-without-guard", place.path, Range(*place.at), values)
