"""GL201: a Backward on a loss, or a term of it, that hangs on nothing because a tensor it was made of was cut."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.starved import starved
from gradlint.facts.updates import Update, updates
from gradlint.facts.values import Cut, Value
from gradlint.options import Options

_CUTS = {
    "detach": ".detach()", "data": ".data", "item": ".item()", "tensor": "torch.tensor()", "numpy": ".numpy()",
    "tolist": ".tolist()", "grad": "create_graph=False", "variable": "Variable()",
}  # fmt: skip


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss whose gradients an optimizer is stepped with."""
    found = list(updates(facts))
    for update in found:
        if not update.loss.surely_cut:
            yield from _constant_penalty(facts, update)
            continue
        for cut in update.last_cuts():
            module = update.misses(cut)
            if cut.kind in _CUTS and module is not None:
                yield _finding(facts, update, cut, module, f"`{update.loss.hint or 'loss'}`")
                break
    for update, cut, module in starved(facts, found):
        if cut.kind in _CUTS:
            yield _finding(facts, update, cut, module, "part of the loss")


def _finding(facts: TrainingFacts, update: Update, cut: Cut, module: Value, value: str) -> Finding:
    values: dict[str, str | int | float] = {
        "value": value, "cut": _CUTS[cut.kind], "line": update.place.line_from(cut.place.path),
        "module": facts.name_of(module, "the model"),
    }  # fmt: skip
    return Finding("detached-loss", cut.place.path, Range(*cut.place.at), values)


def _constant_penalty(facts: TrainingFacts, update: Update) -> Iterator[Finding]:
    """A gradient penalty that was differentiated without its graph and only adds a constant."""
    for cut in update.loss.cuts:
        module = update.misses(cut) if cut.kind == "added grad" else None
        if module is not None:
            values: dict[str, str | int | float] = {
                "value": "`autograd.grad(…)`", "cut": _CUTS["grad"], "line": update.place.line_from(cut.place.path),
                "module": facts.name_of(module, "the model"),
            }  # fmt: skip
            yield Finding("detached-loss", cut.place.path, Range(*cut.place.at), values)
