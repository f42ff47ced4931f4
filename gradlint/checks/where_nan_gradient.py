"""GL708: a branch of `torch.where` whose masked entries have an infinite derivative."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import reach, spelling
from gradlint.facts.formulas import Formula
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every branch of every `where` in the loss path."""
    seen = set()
    for calculation in reach.in_loss(facts, "where"):
        place = calculation.place
        asked, *branches = calculation.formula.inputs
        steps = [step for branch in branches for step in reach.entries(branch)]
        unsafe = next((step for step in steps if _unsafe(step, asked)), None)
        if unsafe is None or place in seen:
            continue
        seen.add(place)
        at = unsafe.place
        expression = spelling.spelled(facts, at, unsafe.op) if at is not None else unsafe.op
        point = "0 and below" if reach.signed(unsafe.inputs[0]) else "0"
        yield Finding("where-nan-gradient", place.path, Range(*place.at), {"expression": expression, "point": point})


def _unsafe(step: Formula, asked: Formula) -> bool:
    """Whether the derivative of a step is infinite at a 0 that its argument can take, or is asked for."""
    argument = step.inputs[-1] if step.op == "/" else step.inputs[0] if step.inputs else step
    if step.op == "**" and (step.number is None or step.number == 0 or step.number >= 1):
        return False
    if step.op not in ("log", "log2", "log10", "sqrt", "rsqrt", "**", "/", "reciprocal"):
        return False
    if reach.signed(argument) and (step.op in ("sqrt", "rsqrt") or (step.op == "**" and (step.number or 0.0) % 1)):
        return True
    if not reach.bounded_by_zero(argument) or reach.sifted(argument):
        return False
    return reach.made_zero(argument, step.op != "/") or any(side.same(argument) for side in asked.inputs)
