"""GL202: a Backward on a loss that hangs on nothing, because the forward it comes from was not recorded."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Forward, walk
from gradlint.facts.interpret.tensors import parts
from gradlint.facts.model import TrainingFacts
from gradlint.facts.updates import Update, updates
from gradlint.facts.values import Cut, Tensor
from gradlint.options import Options

_MODES = {
    "no_grad": "torch.no_grad()",
    "inference_mode": "torch.inference_mode()",
    "set_grad_enabled": "torch.set_grad_enabled(False)",
}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss whose gradients an optimizer is stepped with."""
    for update in updates(facts):
        if not update.loss.surely_cut:
            continue
        for cut in update.loss.cuts:
            forward = _forward(update, cut) if cut.kind in _MODES and update.misses(cut) is not None else None
            if forward is not None:
                place = forward.place
                values: dict[str, str | int | float] = {
                    "module": facts.name_of(forward.module, "the model"),
                    "context": _MODES[cut.kind],
                    "line": update.place.at[0],
                }
                yield Finding("no-grad-training-forward", place.path, Range(*place.at), values)
                break


def _forward(update: Update, cut: Cut) -> Forward | None:
    for event in walk(update.run.tree):
        if isinstance(event, Forward) and any(
            isinstance(part, Tensor) and cut in part.cuts for part in parts([event.result])
        ):
            if all(relations.overlap(event.module, optimizer) is False for optimizer in update.optimizers):
                continue
            return event
    return None
