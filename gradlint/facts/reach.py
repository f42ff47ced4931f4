"""Calculations whose value or derivative is infinite somewhere: which matter for a loss, and which can get there."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts import code
from gradlint.facts.events import Backward
from gradlint.facts.formulas import Formula
from gradlint.facts.interpret import precision
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.model import Calculation, TrainingFacts
from gradlint.facts.values import Layer, Place, Tensor, Value

_SIFTS = frozenset({"relu", "relu6", "hardtanh", "threshold", "std", "cdist"})
"""Their backward sends a plain 0 to entries that they made 0: what is infinite behind them stays there."""
_KEEPS = frozenset({
    "sum", "mean", "sqrt", "item", "gather", "max", "amax", "abs", "square", "neg", "diag", "diagonal", "cat", "choice",
})  # fmt: skip
"""Their zeros are the zeros of their arguments."""
_ENTRYWISE = frozenset({
    "+", "-", "*", "/", "**", "neg", "abs", "exp", "log", "log2", "log10", "sqrt", "rsqrt", "square", "clamp", "item",
    "choice", "relu", "tanh", "sigmoid", "reciprocal", "acos", "asin",
})  # fmt: skip
_ENDS_AT_0 = frozenset({
    "relu", "relu6", "hardsigmoid", "threshold", "tril", "triu", "dropout", "std", "var", "stft", "real", "imag",
    "cdist", "pairwise_distance", "dist", "bincount", "compare", "one_hot",
})  # fmt: skip
"""They make exact zeros out of ordinary numbers: switched-off units, masks, silence, the distance of equal points."""
_ZERO_WITH_FIRST = _KEEPS | {
    "/", "**", "norm", "vector_norm", "matrix_norm", "cumsum", "nansum", "nanmean", "prod", "median", "topk", "sort",
    "min", "amin", "masked_select", "select", "clamp", "cummax",
}  # fmt: skip
_TABLES = frozenset({"number", "buffer", "arange", "linspace", "logspace", "full", "eye", "zeros", "ones"})
_LENGTHS = frozenset({"sum", "nansum", "norm", "vector_norm", "matrix_norm"})
_DEPTH = 12


def in_loss(facts: TrainingFacts, *operations: str) -> Iterator[Calculation]:
    """Recorded calculations of this file that hang on parameters or stand in a function named like a loss."""
    trained, needed = _trained(facts)
    measured = {calculation.place for calculation in facts.calculations if calculation.recording is False}
    for calculation in facts.calculations:
        wanted = calculation.formula.op in operations and calculation.place.path == facts.path
        if not wanted or calculation.recording is False or not (calculation.attached or calculation.in_loss):
            continue
        if not calculation.attached and (calculation.place in measured or _fixed(calculation.formula)):
            # A function named like a loss whose call in sight only evaluates, or of numbers that hang on nothing.
            continue
        if not _only_shown(calculation, trained, needed):
            yield calculation


def _fixed(formula: Formula, depth: int = _DEPTH) -> bool:
    """Whether a value was made of numbers, tables and buffers alone."""
    if formula.op in _TABLES:
        return True
    if depth == 0 or not formula.inputs or formula.op.startswith("rand"):
        return False
    return all(_fixed(part, depth - 1) for part in formula.inputs)


def _trained(facts: TrainingFacts) -> tuple[set[Value], set[int]]:
    """What the backwards in sight reach, and every tensor on the way there, by identity."""
    losses = [e.tensor for run in facts.runs for e in run.events if isinstance(e, Backward) and e.tensor]
    trained = {root for loss in losses for root in loss.roots}
    needed = {ident for loss in {id(loss): loss for loss in losses}.values() for ident in ancestry(loss)}
    return trained, needed


def _only_shown(calculation: Calculation, trained: set[Value], needed: set[int]) -> bool:
    """Whether the network is trained in sight, but by nothing that was calculated from this."""
    results = [result for result in calculation.results if isinstance(result, Tensor) and result.roots]
    if len(results) < len(calculation.results) or not results:
        return False
    return all(result.roots <= trained and id(result) not in needed for result in results)


def zero(formula: Formula) -> bool:
    """Whether a value can be 0 as far as its range is known, something in sight makes it so, and nothing may have
    replaced its zeros.
    """
    return bounded_by_zero(formula) and made_zero(formula)


def bounded_by_zero(formula: Formula) -> bool:
    """Whether 0 is the lower end of a tensor's range, and nothing may have replaced its zeros."""
    interval = formula.interval
    if not (interval.known and interval.non_negative and interval.contains(0.0)):
        return False
    return precision.dtype_of(formula.value) != precision.NUMBER and not _replaced(formula)


def signed(formula: Formula) -> bool:
    """Whether a value is what a Linear layer or a convolution gave, which is negative for some inputs."""
    made = formula.value.chain if isinstance(formula.value, Tensor) and not formula.inputs else None
    return made is not None and made.kind in ("linear", "conv") and isinstance(made.subject, Layer)


def flat_tanh(formula: Formula) -> Formula | None:
    """The slope of a tanh, 1 - tanh(x) ** 2, that a value is or has as a factor.

    float32 rounds it to 0 where |x| > 9.02: there tanh is within 2**-25 of 1.
    """
    if formula.op == "*":
        return next((found for part in formula.inputs if (found := flat_tanh(part)) is not None), None)
    if formula.op != "-" or len(formula.inputs) != 2 or formula.inputs[0].number != 1.0:
        return None
    square = formula.inputs[1]
    squared = square.op == "square" or (square.op == "**" and square.number == 2.0)
    squared = squared or (square.op == "*" and square.inputs[0].same(square.inputs[1]))
    return formula if squared and square.inputs[0].op == "tanh" else None


def made_zero(formula: Formula, entry: bool = True, depth: int = _DEPTH, among: bool = False) -> bool:
    """Whether something in sight makes a value 0: a ReLU, a mask, silence, two of a kind that are equal.

    One `entry` of what a network computes may be 0, all entries of its output or of a weight are not: not its length.
    """
    op, inputs = formula.op, formula.inputs
    if op in _ENDS_AT_0:
        return True
    low, high = formula.interval.low, formula.interval.high
    if (not inputs or op == "clamp") and formula.interval.known and 0.0 in (low, high):
        return True
    if depth == 0 or not inputs:
        return False
    if op == "-":
        return _difference(*inputs)
    if op in ("+", "maximum"):
        # Two numbers that have nothing to do with each other are not both 0 by chance.
        return all(made_zero(part, False, depth - 1) for part in inputs)
    if op in ("*", "@", "choice", "cat", "minimum"):
        found = any(made_zero(part, entry, depth - 1) for part in inputs)
        return found or (op == "*" and entry and inputs[0].same(inputs[1]))
    if op not in _ZERO_WITH_FIRST:
        return False
    if entry and op in ("abs", "square", "**") and inputs[0].op not in _LENGTHS:
        # Of a value that is only named, as `std`, one in sight must be many: the energy of a signal.
        return not _named(inputs[0]) or (among and not _learned(inputs[0]))
    return made_zero(inputs[0], entry and op not in _LENGTHS, depth - 1, among or op in ("mean", "nanmean"))


def _named(formula: Formula, depth: int = _DEPTH) -> bool:
    """Whether it is a value that is only named, or a ratio or product of such: `std_p / std_q`."""
    if formula.op in ("/", "*") and depth > 0:
        return all(_named(part, depth - 1) for part in formula.inputs[: 1 if formula.op == "/" else 2])
    return formula.op in ("leaf", "item", "number")


def _learned(formula: Formula) -> bool:
    while formula.op == "item" and formula.inputs:
        formula = formula.inputs[0]
    return isinstance(formula.value, Tensor) and formula.value.parameter


def _difference(left: Formula, right: Formula) -> bool:
    """Whether two values are equal now and then; a number is reached where it ends the range of the other."""
    for fixed, other in ((left, right), (right, left)):
        if fixed.op == "number":
            interval = other.interval
            return interval.known and interval.contains(fixed.interval.low) and fixed.interval.low in (
                interval.low, interval.high,
            )  # fmt: skip
    return not any(part.op in ("mean", "sum") and part.inputs[0].same(left) for part in (right, *right.inputs[:1]))


def _replaced(formula: Formula, depth: int = _DEPTH) -> bool:
    unseen = any(not part.interval.known for part in formula.inputs)
    if formula.op in ("where", "masked_fill", "select") or (formula.op == "maximum" and unseen):
        return True
    return depth > 0 and any(_replaced(part, depth - 1) for part in formula.inputs)


def sifted(formula: Formula, depth: int = _DEPTH) -> bool:
    """Whether every zero of a value comes from an operation whose backward stops what is infinite behind it."""
    if formula.op in _SIFTS:
        return True
    if depth == 0 or not formula.inputs:
        return False
    if formula.op in _KEEPS or (formula.op == "**" and (formula.number or 0.0) > 0):
        return all(sifted(part, depth - 1) for part in formula.inputs)
    if formula.op == "+":
        return all(sifted(part, depth - 1) for part in formula.inputs if part.interval.contains(0.0))
    if formula.op in ("*", "/"):
        return any(sifted(part, depth - 1) for part in formula.inputs[: 1 if formula.op == "/" else 2])
    return False


def under_where(facts: TrainingFacts) -> set[Place]:
    """Places of the steps that make the entries of a branch of `torch.where`."""
    found: set[Place] = set()
    for calculation in facts.calculations:
        if calculation.formula.op == "where":
            steps = [step for branch in calculation.formula.inputs[1:] for step in entries(branch)]
            found.update(step.place for step in steps if step.place is not None)
    return found


def under_test(facts: TrainingFacts) -> set[Place]:
    """Places of the steps that a branch takes only after it compared what they read with a number near 0.

    `if x.norm() != 0: x = x / x.norm()`.
    """
    imports = facts.nodes_of(code.Import, code.ImportFrom)
    imported = {alias or name.partition(".")[0] for node in imports for name, alias in node.names}
    found: set[Place] = set()
    for node in facts.nodes_of(code.If, code.Conditional):
        compared = {name for test in code.walk(node.test) for name in _compared(test)} - imported
        steps = code.walk(node.body) if compared else ()
        found.update(
            Place(facts.path, step.at)
            for step in steps
            if isinstance(step, (code.Call, code.Binary)) and step.at is not None and compared & _names(step)
        )
    return found


def _compared(test: object) -> set[str]:
    if not isinstance(test, code.Compare):
        return set()
    sides = [test.left, *(right for _, right in test.rest)]
    numbers = [side.value for side in sides if isinstance(side, code.Literal)]
    near_zero = any(isinstance(number, (int, float)) and abs(number) < 1 for number in numbers)
    return {name for side in sides for name in _names(side)} if near_zero else set()


def _names(node: object) -> set[str]:
    return {part.name for part in code.walk(node) if isinstance(part, code.Name)}


def entries(formula: Formula, depth: int = _DEPTH) -> Iterator[Formula]:
    """A formula and the steps below it that work entry by entry."""
    if formula.op in _ENTRYWISE:
        yield formula
        if depth > 0:
            for part in formula.inputs:
                yield from entries(part, depth - 1)
