"""GL701: probabilities handed to a cross-entropy that applies log-softmax itself."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look at the last operation in front of every cross-entropy."""
    for loss in facts.losses:
        form = outputs.form_of(loss.input)
        if (
            loss.kind != "CrossEntropyLoss"
            or form is None
            or form.kind not in ("softmax", "sigmoid")
            or not outputs.trains(loss)
        ):
            continue
        yield Finding(
            "softmax-before-cross-entropy",
            loss.place.path,
            Range(*loss.place.at),
            {
                "loss": outputs.named(facts, loss),
                "activation": form.kind,
                "line": form.place.line_from(loss.place.path),
            },
        )
