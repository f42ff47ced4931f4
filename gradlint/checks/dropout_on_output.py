"""GL811: dropout behind the last layer, on the predictions that a loss takes."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import chains, outputs
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_EMBEDDINGS = frozenset({"CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look at the last operation in front of every loss."""
    seen: set[object] = set()
    for loss in facts.losses:
        last = outputs.last_operation(loss.input)
        if last is None or loss.kind in _EMBEDDINGS or not outputs.trains(loss):
            continue
        rate, before = chains.dropout_rate(last), last.previous
        if not rate or before is None or before.kind not in ("linear", "conv"):
            continue
        place = outputs.written_at(facts, last)
        if place in seen or place.path != facts.path:
            continue
        seen.add(place)
        values = {
            "dropout": facts.name_of(last.subject, "dropout"),
            "rate": f"{rate:.0%}",
            "module": facts.name_of(before.subject, getattr(before.subject, "name", "the last layer")),
            "loss": outputs.named(facts, loss),
        }
        yield Finding("dropout-on-output", place.path, Range(*place.at), values)
