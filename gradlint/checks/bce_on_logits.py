"""GL704: an output that can leave [0, 1] handed to a binary cross-entropy on probabilities."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look at the last operation in front of every BCELoss."""
    for loss in facts.losses:
        form = outputs.form_of(loss.input)
        if loss.kind != "BCELoss" or form is None or form.kind not in outputs.UNBOUNDED or not outputs.trains(loss):
            continue
        yield Finding(
            "bce-on-logits",
            loss.place.path,
            Range(*loss.place.at),
            {"loss": outputs.named(facts, loss), "given": outputs.described(form)},
        )
