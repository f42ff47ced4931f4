"""GL717: a loss with one value for each sample, back-propagated without being reduced."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import reductions
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import External, Tensor
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Point to the loss, or to its backward where the loss stands in another file."""
    for formula, backward in reductions.unreduced(facts):
        function = formula.value.loss if isinstance(formula.value, Tensor) else None
        named = function.name if isinstance(function, External) else facts.name_of(function, "the loss")
        here = formula.place is not None and formula.place.path == facts.path
        place = formula.place if here and formula.place is not None else backward
        kept = 'keeps one value for each element (`reduction="none"`)'
        if formula.op == reductions.SAMPLES:
            kept = "has one value for each sample"
        problem = f"{kept}, and line {backward.at[0]} back-propagates it as it is"
        if place.path == facts.path:
            values: dict[str, str | int | float] = {"loss": named, "problem": problem}
            yield Finding("unreduced-loss", place.path, Range(*place.at), values)
