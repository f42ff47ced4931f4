"""GL306: a ReLU as the last operation before a loss that needs signed outputs."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, targets
from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.options import Options

_LOGITS = frozenset({"CrossEntropyLoss", "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss that takes logits, and every distance to targets that are surely negative in part."""
    seen = set()
    for loss in facts.losses:
        last = outputs.last_operation(loss.input)
        if last is None or last.kind != "relu" or not outputs.trains(loss) or not _signed(loss):
            continue
        place = outputs.written_at(facts, last)
        layer = outputs.layer_before(facts, last)
        if place.path == facts.path and place not in seen and layer:
            seen.add(place)
            values = {"layer": layer, "loss": outputs.named(facts, loss)}
            yield Finding("relu-on-output", place.path, Range(*place.at), values)


def _signed(loss: LossCall) -> bool:
    return loss.kind in _LOGITS or (loss.kind in targets.DISTANCES and targets.takes_both_signs(loss.target))
