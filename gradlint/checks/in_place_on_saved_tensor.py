"""GL212: an operation in place on an output that its own backward needs, or on a leaf while autograd records."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Backward, ManualUpdate
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.model import TrainingFacts
from gradlint.facts.updates import updates
from gradlint.facts.values import Tensor
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge changes of tensors on the way to a loss or to a module's output, and of parameters in training loops."""
    used = {key for definition in facts.modules for key in ancestry(definition.output)}
    used.update(key for update in updates(facts) for key in ancestry(update.loss))
    for change in facts.in_place:
        if id(change.tensor) in used:
            named = facts.name_of(change.tensor, "")
            values: dict[str, str | int | float] = {
                "operation": change.operation,
                "tensor": f"`{named}`" if named else f"the output of `{change.producer}`",
                "producer": change.producer,
            }
            yield Finding("in-place-on-saved-tensor", change.place.path, Range(*change.place.at), values)
    for run in facts.runs:
        events = run.events
        if not any(isinstance(event, Backward) for event in events):
            continue
        for event in events:
            if isinstance(event, ManualUpdate) and event.recording is True and not event.gradient and _leaf(event):
                name = event.target.hint if isinstance(event.target, Tensor) else "the parameter"
                leaf: dict[str, str | int | float] = {
                    "operation": "this",
                    "tensor": f"`{name}`",
                    "producer": f"what uses `{name}`",
                }
                yield Finding("in-place-on-saved-tensor", event.place.path, Range(*event.place.at), leaf)


def _leaf(event: ManualUpdate) -> bool:
    """Whether what is changed surely requires a gradient."""
    return isinstance(event.target, Tensor) and bool(event.target.roots) and not event.target.mystery
