"""GL202: a Backward on a loss that hangs on nothing, because the forward it comes from was not recorded."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Forward
from gradlint.facts.interpret.tensors import parts
from gradlint.facts.model import TrainingFacts
from gradlint.facts.starved import starved
from gradlint.facts.unrecorded import unrecorded
from gradlint.facts.updates import Update, updates
from gradlint.facts.values import Cut, Tensor, Value
from gradlint.options import Options

_MODES = {
    "no_grad": "torch.no_grad()",
    "inference_mode": "torch.inference_mode()",
    "set_grad_enabled": "torch.set_grad_enabled(False)",
}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss whose gradients an optimizer is stepped with, and what that optimizer holds beside it."""
    found = list(updates(facts))
    # Code that training and validation share: a switch inside keeps the second from its backward.
    trained = {update.place for update in found if update.loss.roots}
    for update in found:
        if not update.loss.surely_cut or update.place in trained:
            continue
        for cut in update.last_cuts():
            missed = update.misses(cut) if cut.kind in _MODES else None
            if missed is None:
                continue
            forward = _forward(update, cut)
            yield _finding(facts, update, forward, forward.module if forward is not None else missed, cut)
            break
    for update, cut, module in starved(facts, found):
        if cut.kind in _MODES:
            yield _finding(facts, update, None, module, cut, "part of the loss")
    for update, forward in unrecorded(facts, found):
        yield _finding(facts, update, forward, forward.module, None)


def _finding(
    facts: TrainingFacts,
    update: Update,
    forward: Forward | None,
    module: Value,
    cut: Cut | None,
    what: str = "the loss",
) -> Finding:
    name = facts.name_of(module, "the model")
    place = forward.place if forward is not None else cut.place if cut is not None else update.place
    values: dict[str, str | int | float] = {
        "what": f"`{name}` is called" if forward is not None else f"{what} is computed",
        "context": _MODES[cut.kind if cut is not None else "no_grad"],
        "line": update.place.line_from(place.path),
        "reached": "its parameters" if forward is not None else f"the parameters of `{name}`",
    }
    return Finding("no-grad-training-forward", place.path, Range(*place.at), values)


def _forward(update: Update, cut: Cut) -> Forward | None:
    for event in update.run.events:
        if isinstance(event, Forward) and any(
            isinstance(part, Tensor) and cut in part.cuts for part in parts([event.result])
        ):
            if all(relations.overlap(event.module, optimizer) is False for optimizer in update.optimizers):
                continue
            return event
    return None
