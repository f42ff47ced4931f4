"""Losses that are back-propagated although they keep one value for each sample or element."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.events import Backward
from gradlint.facts.formulas import UNKNOWN, Formula
from gradlint.facts.interpret import ranges
from gradlint.facts.interpret.losses import UNREDUCED
from gradlint.facts.model import TrainingFacts
from gradlint.facts.roles import role
from gradlint.facts.updates import updates
from gradlint.facts.values import NONE, Place, Tensor, Unknown

SAMPLES = "samples"
"""The formula of a loss of which no more is known than that the batch stands in front."""
_ELEMENTWISE = frozenset({
    "+", "-", "*", "/", "**", "exp", "log", "log2", "log10", "log1p", "expm1", "sqrt", "rsqrt", "square", "abs", "neg",
    "clamp", "relu", "sigmoid", "tanh", "softplus", "where", "masked_fill", "maximum", "minimum", "dropout", "softmax",
    "reciprocal",
})  # fmt: skip
"""Steps whose result has at least as many elements as each of their inputs."""


def unreduced(facts: TrainingFacts) -> Iterator[tuple[Formula, Place]]:
    """Each loss that surely is back-propagated with all its elements: its formula, and where its backward starts."""
    for loss, place in _back_propagated(facts):
        while loss.attribute == "scaled":
            sources = [part for part in loss.sources if isinstance(part, Tensor)]
            if len(sources) != 1:
                break
            loss = sources[0]
        found = _elements(ranges.formula_of(loss)) or _of_samples(loss)
        if found is not None:
            yield found, place


def _of_samples(loss: Tensor) -> Formula | None:
    """The formula of a loss that surely has a batch in front."""
    batched = loss.shape is not None and loss.shape.batched and loss.shape.least > 0 and bool(loss.roots)
    return Formula(SAMPLES, (), UNKNOWN, loss.place, loss) if batched else None


def _back_propagated(facts: TrainingFacts) -> Iterator[tuple[Tensor, Place]]:
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, Backward) and event.tensor is not None and not _helped(event):
                yield event.tensor, event.place
    for update in updates(facts):
        if update.run.managed:
            yield update.loss, update.place


def _helped(event: Backward) -> bool:
    """Whether a backward is told what to start with, or something unseen may reduce the loss before."""
    scaled = role(event.via) == "scaler" or getattr(event.tensor, "attribute", "") == "scaled"
    unseen = isinstance(event.via, Unknown) and not scaled
    return unseen or event.gradient not in (None, NONE)


def _elements(formula: Formula, depth: int = 24) -> Formula | None:
    """The unreduced loss that a value keeps all elements of."""
    if formula.op == UNREDUCED:
        return formula
    if depth == 0 or (formula.op != "choice" and formula.op not in _ELEMENTWISE):
        return None
    found = [_elements(part, depth - 1) for part in formula.inputs]
    if formula.op == "choice" and None in found:
        return None
    return next((part for part in found if part is not None), None)
