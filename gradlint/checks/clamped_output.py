"""GL311: an output that is clamped on its way to the loss."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, targets
from gradlint.facts.formulas import Formula
from gradlint.facts.interpret import ranges
from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.facts.values import Place
from gradlint.options import Options

_GUARD = 1e-3
"""A limit as near as this to 0 from above, or to 1 from below, protects a logarithm or a division."""
_TAIL = 3.0
"""One number in 370 of a standard normal target lies beyond."""
_RAW = frozenset({"linear", "conv", "linear_layer"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss whose input is the clamped raw output of a layer."""
    seen = set()
    for loss in facts.losses:
        found = _clamp(facts, loss) if outputs.trains(loss) else None
        if found is None or found[0] in seen or found[0].path != facts.path:
            continue
        place, low, high = found
        seen.add(place)
        expression = f"clamp to [{low:g}, {high:g}]"
        values = {"expression": expression, "low": f"{low:g}", "high": f"{high:g}", "loss": outputs.named(facts, loss)}
        yield Finding("clamped-output", place.path, Range(*place.at), values)


def _clamp(facts: TrainingFacts, loss: LossCall) -> tuple[Place, float, float] | None:
    last = outputs.last_operation(loss.input)
    if last is not None and last.kind == "hardtanh" and outputs.layer_before(facts, last):
        interval = ranges.formula_of(loss.input).interval
        return outputs.written_at(facts, last), interval.low, interval.high
    formula = ranges.formula_of(loss.input)
    while formula.op == "item":
        formula = formula.inputs[0]
    if formula.op != "clamp" or formula.place is None or not _cuts(formula):
        return None
    given = formula.inputs[0].op
    if given not in _RAW and not (given == "unknown" and _cuts_noise(formula, loss)):
        return None
    return formula.place, formula.interval.low, formula.interval.high


def _cuts_noise(formula: Formula, loss: LossCall) -> bool:
    """Whether what an unseen network gave is kept from following a standard normal target."""
    return targets.is_normal(loss.target) and max(-formula.interval.low, formula.interval.high) < _TAIL


def _cuts(formula: Formula) -> bool:
    low, high = formula.interval.low, formula.interval.high
    return formula.interval.known and not (0.0 < low < _GUARD or 0.0 < 1.0 - high < _GUARD)
