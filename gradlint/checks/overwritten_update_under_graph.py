"""GL216: an update by the gradient that rebinds the leaf, or changes it in place while autograd records."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Backward, ManualUpdate
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Tensor
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every hand-written update of a run that back-propagates."""
    for run in facts.runs:
        events = run.events
        if not any(isinstance(event, Backward) for event in events):
            continue
        for event in events:
            if isinstance(event, ManualUpdate) and event.gradient and event.recording is True and _leaf(event):
                name = event.target.hint if isinstance(event.target, Tensor) else "the parameter"
                effect = (
                    "makes a new tensor that is no leaf"
                    if event.rebinds
                    else "changes a leaf in place while gradients are recorded"
                )
                values: dict[str, str | int | float] = {
                    "statement": f"{name} - lr * {name}.grad",
                    "effect": effect,
                    "parameter": name,
                }
                yield Finding("overwritten-update-under-graph", event.place.path, Range(*event.place.at), values)


def _leaf(event: ManualUpdate) -> bool:
    """Whether what is changed surely requires a gradient."""
    return isinstance(event.target, Tensor) and bool(event.target.roots) and not event.target.mystery
