"""GL718: a squared or absolute error whose target is a class label."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, targets
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Layer, Tensor, Value
from gradlint.options import Options

_SHARES = frozenset({"scale", "unknown"})
_SQUASHED = frozenset({"sigmoid", "softmax"})
"""Outputs that saturated-output-loss judges."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every distance from a target that surely is one-hot or the index of a class."""
    for loss in facts.losses:
        if loss.kind not in targets.DISTANCES or loss.place.path != facts.path or not outputs.trains(loss):
            continue
        form, labels = outputs.form_of(loss.input), targets.labels(loss.target)
        if not labels or (form is not None and form.kind in _SQUASHED) or not _scores(loss.input):
            continue
        better = "`CrossEntropyLoss`" if labels.startswith("one-hot") else "`CrossEntropyLoss` and one output a class"
        values = {"loss": outputs.named(facts, loss), "target": labels, "better": better}
        yield Finding("regression-loss-on-classes", loss.place.path, Range(*loss.place.at), values)


def _scores(value: Value | None) -> bool:
    """Whether it surely is what a layer in sight, or a ready-made network, gives out: shares, such as the firing rates
    of spiking cells, are compared with one-hot labels by rights.
    """
    operation = outputs.last_operation(value)
    if operation is not None:
        return operation.kind not in _SHARES
    return isinstance(value, Tensor) and all(isinstance(root, Layer) for root in value.roots)
