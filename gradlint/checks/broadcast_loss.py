"""GL714: a column of predictions against a row of targets, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, targets
from gradlint.facts.events import Backward
from gradlint.facts.formulas import Formula
from gradlint.facts.interpret.ranges import formula_of
from gradlint.facts.interpret.shaping import shape_of
from gradlint.facts.model import Broadcast, TrainingFacts
from gradlint.facts.shapes import Shape, crossed, crossing, is_line
from gradlint.facts.values import Place, Value
from gradlint.options import Options

_AROUND = frozenset({"mean", "nanmean", "sum", "sqrt", "neg", "+", "-", "*", "/", "choice"})
_REDUCING = frozenset({"mean", "nanmean", "sum"})
_DISTANCES = frozenset({"**", "square", "abs", "*"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge distances of torch and those that the code computes itself."""
    for loss in facts.losses:
        given, wanted = shape_of(loss.input), shape_of(loss.target)
        if loss.kind not in targets.DISTANCES or not outputs.trains(loss) or given is None or wanted is None:
            continue
        if crossed(given, wanted) and loss.place.path == facts.path:
            yield _finding(outputs.named(facts, loss), given, wanted, loss.place)
    differences = [part for loss in _back_propagated(facts) for part in _differences(formula_of(loss))]
    for found in facts.broadcasts:
        if found.place.path == facts.path and (
            any(part.value is found.result for part in differences) or _in_target(facts, found)
        ):
            yield _finding(found.operation, found.left, found.right, found.place)


def _in_target(facts: TrainingFacts, found: Broadcast) -> bool:
    """Whether a column of predictions, or a row, is compared with what was broadcast to a square."""
    for loss in facts.losses:
        given = shape_of(loss.input)
        if loss.kind not in targets.DISTANCES or not outputs.trains(loss) or given is None or not is_line(given):
            continue
        if any(part.value is found.result for part in _terms(formula_of(loss.target))):
            return True
    return False


def _terms(formula: Formula, depth: int = 12) -> Iterator[Formula]:
    """What a target is the sum or product of."""
    yield formula
    if formula.op in _AROUND - _REDUCING and depth > 0:
        for part in formula.inputs:
            yield from _terms(part, depth - 1)


def _back_propagated(facts: TrainingFacts) -> Iterator[Value]:
    return (event.loss for run in facts.runs for event in run.events if isinstance(event, Backward))


def _differences(formula: Formula, depth: int = 12) -> Iterator[Formula]:
    """The differences whose square, absolute value or weighted sum a loss is made of."""
    if formula.op in _DISTANCES:
        yield from (part for part in formula.inputs if part.op == "-")
    if formula.op in _AROUND and depth > 0:
        for part in formula.inputs:
            yield from _differences(part, depth - 1)


def _finding(named: str, given: Shape, wanted: Shape, place: Place) -> Finding:
    values: dict[str, str | int | float] = {
        "loss": named, "input_shape": str(given), "target_shape": str(wanted), "result_shape": crossing(given, wanted),
    }  # fmt: skip
    return Finding("broadcast-loss", place.path, Range(*place.at), values)
