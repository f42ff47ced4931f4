"""GL703: logits or probabilities handed to a loss that takes log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_LOG_LOSSES = frozenset({"NLLLoss", "NLLLoss2d", "KLDivLoss", "CTCLoss"})
_NOT_LOGARITHMS = outputs.UNBOUNDED | {"softmax", "sigmoid"}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look at the last operation in front of every loss on log-probabilities."""
    for loss in facts.losses:
        form = outputs.form_of(loss.input)
        if loss.kind not in _LOG_LOSSES or form is None or form.kind not in _NOT_LOGARITHMS or not outputs.trains(loss):
            continue
        yield Finding(
            "loss-expects-log-probabilities",
            loss.place.path,
            Range(*loss.place.at),
            {"loss": outputs.named(facts, loss), "given": outputs.described(form)},
        )
