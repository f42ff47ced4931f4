"""GL112: gradients of several batches piled up from a mean loss that is not divided by their number."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.accumulation import accumulations
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Tensor, Unknown, constant
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report the backward of each accumulation whose loss is a plain mean."""
    seen: set[object] = set()
    for found in accumulations(facts):
        place = found.backward.place
        if place in seen or found.backward.tensor is None or not _plain_mean(facts, found.backward.tensor):
            continue
        seen.add(place)
        values = {"steps": found.factor, "optimizer": facts.name_of(found.step.optimizer, "optimizer")}
        yield Finding("accumulation-without-scaling", place.path, Range(*place.at), values)


def _plain_mean(facts: TrainingFacts, loss: Tensor) -> bool:
    """Whether a loss is what torch's loss functions give by default, as it is or scaled for mixed precision."""
    kind = loss.loss
    if loss.divided or kind is None or isinstance(kind, (Unknown, Tensor)):
        return False
    calls = [call for call in facts.losses if call.result.loss is kind]
    reductions = [call.keywords.get("reduction") for call in calls]
    return bool(calls) and all(reduction is None or constant(reduction) == "mean" for reduction in reductions)
