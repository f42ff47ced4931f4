"""GL811: dropout behind the last layer, on the predictions that a loss takes."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import chains, outputs
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Operation, Tensor, Unknown, Value
from gradlint.options import Options

_EMBEDDINGS = frozenset({"CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look at the last operation in front of every loss."""
    seen: set[object] = set()
    for loss in facts.losses:
        last = _last(facts, loss.input)
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


def _last(facts: TrainingFacts, value: Value | None) -> Operation | None:
    """The last operation of a loss's input; of the file's only module class, where an unseen module gave that."""
    chain = value.chain if isinstance(value, Tensor) else None
    if chain is not None and isinstance(chain.subject, Unknown) and len(facts.modules) == 1:
        return outputs.last_operation(facts.modules[0].output)
    return outputs.last_operation(value)
