"""GL207: a layer with parameters that is built by forward, or by the loop whose backward uses it."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Backward
from gradlint.facts.holding import related
from gradlint.facts.interpret.modules import walk
from gradlint.facts.model import AttributeWrite, CallFact, TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.registration import learns
from gradlint.facts.values import Constant, Instance, Layer, Tensor, Value, is_module
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every construction of a module that stands in a forward or in the innermost loop around a Backward."""
    training = _training_loops(facts)
    built = [call for call in facts.calls if _built(call)]
    for call in built:
        module = call.result
        if not _new_parameters(call, built) or _trained(facts, call):
            continue
        losses = training.get(call.repeats[-1], []) if call.repeats else []
        in_loop = any(related(module, root) for loss in losses for root in loss.roots)
        if call.forward_of is None and not in_loop:
            continue
        if _kept(facts, call, module):
            continue
        owner = call.forward_of.name if call.forward_of is not None else call.function
        values: dict[str, str | int | float] = {
            "layer": getattr(module, "name", "layer"), "place": "call" if call.forward_of is not None else "iteration",
            "owner": owner,
            "parameters": "parameters",
        }  # fmt: skip
        yield Finding("module-created-in-forward", call.place.path, Range(*call.place.at), values)


def _built(call: CallFact) -> bool:
    if not is_module(call.result) or getattr(call.result, "place", None) != call.place:
        return False
    return (not call.function.endswith("__init__") and call.function != "<module>") or bool(call.repeats)


def _new_parameters(call: CallFact, built: list[CallFact]) -> bool:
    """Whether parameters begin with this call: `nn.Sequential(self.body, self.head)` only strings together others'."""
    given = [*call.arguments, *call.keywords.values()]
    for part in walk(call.result):
        passed = any(relations.within(part, value) for value in given)
        inline = isinstance(call.result, Layer) and any(other.result is part for other in built)
        if learns(part) and (not passed or inline):
            return True
    return False


def _training_loops(facts: TrainingFacts) -> dict[int, list[Tensor]]:
    """What is back-propagated in each iteration of a loop itself, by the loop's number."""
    found: dict[int, list[Tensor]] = {}
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, Backward) and event.tensor is not None:
                for loop in repeats_around(run.tree, event)[-1:]:
                    found.setdefault(loop.number, []).append(event.tensor)
    return found


def _empty_before(facts: TrainingFacts, write: AttributeWrite) -> bool:
    """`self.head = None` in the constructor: forward fills it on its first call; or a method of its own replaces what
    the constructor put there.
    """
    same = [other for other in facts.writes if other.owner is write.owner and other.name == write.name]
    if any(isinstance(other.value, Constant) and other.value.value is None for other in same):
        return True
    aside = not write.function.endswith((".forward", ".__call__", ".__init__"))
    return aside and any(other.function.endswith(".__init__") for other in same)


def _trained(facts: TrainingFacts, call: CallFact) -> bool:
    """Whether an optimizer holds the layer, or is built in the same loop from something unseen."""
    for optimizer in facts.optimizers:
        shared = relations.overlap(call.result, optimizer)
        around = next((other.repeats for other in facts.calls if other.result is optimizer), ())
        if shared or (shared is None and call.repeats[-1:] == around[-1:] != ()):
            return True
    return False


def _kept(facts: TrainingFacts, call: CallFact, module: Value) -> bool:
    """Built once behind a test and kept, or part of something else that is built here."""
    kept = [write for write in facts.writes if is_module(write.value) and relations.within(module, write.value)]
    if kept and (call.conditional or call.forward_of is None or any(_empty_before(facts, write) for write in kept)):
        return True
    return any(_part_of(module, other, call.forward_of is None) for other in facts.calls)


def _part_of(module: Value, outer: CallFact, in_loop: bool) -> bool:
    """Whether another object that is built makes the module for itself, or takes it in a loop: it is named then."""
    owner = outer.result
    if owner is module or not isinstance(owner, Instance) or not is_module(owner):
        return False
    passed = any(module is value for value in (*outer.arguments, *outer.keywords.values()))
    return (in_loop or not passed) and module in owner.attributes.values()
