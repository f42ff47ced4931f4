"""GL224: a bootstrapped target or advantage with its graph, or a target network that is the network itself."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import ManualUpdate
from gradlint.facts.holding import holds, related
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.model import Bootstrap, LossCall, TrainingFacts
from gradlint.facts.values import Tensor, Value
from gradlint.options import Options

_REGRESSIONS = frozenset({"MSELoss", "SmoothL1Loss", "HuberLoss", "L1Loss"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge targets against the losses they stand in, advantages against the optimizers, second names against both."""
    for found in facts.bootstraps:
        module: Value | None = None
        if found.kind == "target" and found.value is not None and found.value.roots:
            module = next((m for loss in facts.losses for m in _pulled(facts, found.value, loss)), None)
        elif found.kind == "advantage":
            module = _shared(facts, found)
        elif found.kind == "alias" and found.other is not None and _estimates(facts, found.other):
            module = found.other
        if module is not None:
            name = found.name or (found.value.hint if found.value is not None else "") or "target"
            values = {"target": name, "module": facts.name_of(module, "the network")}
            yield Finding("target-not-detached", found.place.path, Range(*found.place.at), values)


def _pulled(facts: TrainingFacts, target: Tensor, loss: LossCall) -> Iterator[Value]:
    """What a regression loss trains on its target's side: the predicting network, or one that an optimizer holds."""
    if loss.kind not in _REGRESSIONS or _unseen(target):
        return
    for side, other in ((loss.target, loss.input), (loss.input, loss.target)):
        if (
            not isinstance(other, Tensor)
            or not other.roots
            or id(target) not in ancestry(side)
            or id(target) in ancestry(other)
        ):
            continue
        for root in target.roots:
            if any(related(root, r) for r in other.roots) or any(holds(o, root) for o in facts.optimizers):
                yield root


def _unseen(target: Tensor) -> bool:
    """Whether code that cannot be seen had it in hand, such as a method `target()` of the policy: it may detach it."""
    return any(isinstance(part, Tensor) and part.attribute == "unseen" for part in ancestry(target).values())


def _shared(facts: TrainingFacts, found: Bootstrap) -> Value | None:
    """What the advantage hangs on, if the optimizer of the policy holds it too."""
    if found.value is None or not isinstance(found.other, Tensor) or _unseen(found.value):
        return None
    for optimizer in facts.optimizers:
        if any(holds(optimizer, root) for root in found.other.roots):
            held = next((root for root in found.value.roots if holds(optimizer, root)), None)
            if held is not None:
                return held
    return None


def _estimates(facts: TrainingFacts, module: Value) -> bool:
    """Whether a network gives the estimate in some target, or is averaged into what should be a copy of it."""
    events = [event for run in facts.runs for event in run.events]
    if any(isinstance(e, ManualUpdate) and not e.gradient and _of(e.target, module) for e in events):
        return True
    for found in facts.bootstraps:
        if found.kind == "target" and isinstance(found.other, Tensor):
            given = {*found.other.roots, *(value for cut in found.other.cuts for value in cut.lost)}
            if any(related(module, value) for value in given):
                return True
    return False


def _of(target: Value, module: Value) -> bool:
    owner = target.owner if isinstance(target, Tensor) else target
    return owner is module
