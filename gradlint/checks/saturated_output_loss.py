"""GL304: a classifier's sigmoid or softmax output trained with a squared or absolute error."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, targets
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options

_BETTER = {"sigmoid": "`BCEWithLogitsLoss`", "softmax": "`CrossEntropyLoss`"}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every distance between probabilities and class labels."""
    for loss in facts.losses:
        form = outputs.form_of(loss.input)
        if form is None or form.kind not in _BETTER or loss.kind not in targets.DISTANCES or not outputs.trains(loss):
            continue
        if loss.place.path == facts.path and targets.are_classes(facts, loss.target):
            named, better = outputs.named(facts, loss), _BETTER[form.kind]
            values = {"loss": named, "activation": form.kind, "better": better}
            yield Finding("saturated-output-loss", loss.place.path, Range(*loss.place.at), values)
