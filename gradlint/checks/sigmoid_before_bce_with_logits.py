"""GL702: sigmoid or softmax outputs handed to a binary cross-entropy that applies the sigmoid itself."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_FUSED = frozenset({"BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look at the last operation in front of every binary cross-entropy on logits."""
    for loss in facts.losses:
        form = outputs.form_of(loss.input)
        if (
            loss.kind not in _FUSED
            or form is None
            or form.kind not in ("sigmoid", "softmax")
            or not outputs.trains(loss)
        ):
            continue
        yield Finding(
            "sigmoid-before-bce-with-logits",
            loss.place.path,
            Range(*loss.place.at),
            {
                "loss": outputs.named(facts, loss),
                "activation": form.kind,
                "line": form.place.line_from(loss.place.path),
            },
        )
