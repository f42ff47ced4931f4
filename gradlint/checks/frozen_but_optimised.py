"""GL213: an optimizer whose every parameter was frozen before it was built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Construct, Event, Freeze, Rebind
from gradlint.facts.holding import bases, contains, related
from gradlint.facts.interpret.modules import children
from gradlint.facts.model import TrainingFacts
from gradlint.facts.registration import has_parameters
from gradlint.facts.roles import role
from gradlint.facts.sequence import before, certain
from gradlint.facts.unseen_parts import touched_below
from gradlint.facts.values import Instance, Layer, Optimizer, Tensor, Unknown, Value
from gradlint.facts.values import options as alternatives
from gradlint.options import Options


@dataclass(eq=False)
class _Frozen:
    """What was frozen, and the modules put into it since."""

    event: Freeze
    new: list[Value] = field(default_factory=list)

    def covers(self, value: Value) -> bool:
        target = self.event.target
        # `model.roi_heads.box_predictor = …` of an installed model: what holds the new one is not in sight.
        if any(related(module, value) for module in self.new) or (self.new and target is value):
            return False
        return target is value or (contains(target, value) and not isinstance(target, Tensor))


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every optimizer where it is built; a module that anything frees again is left alone."""
    freed = [
        target
        for run in facts.runs
        for e in run.events
        if isinstance(e, Freeze) and e.trainable is not False
        for target in alternatives(e.target)
    ]
    for run in facts.runs:
        frozen: list[_Frozen] = []
        for event in certain([*before(facts, run), *run.tree]):
            if isinstance(event, Freeze) and event.trainable is False:
                frozen.append(_Frozen(event))
            elif isinstance(event, Rebind):
                frozen = [f for f in frozen if event.old is not f.event.target]
                for found in frozen:
                    if event.owner is not None and related(event.owner, found.event.target):
                        found.new.append(event.new)
            elif isinstance(event, Construct) and isinstance(event.value, Optimizer):
                yield from _judge(facts, event, event.value, frozen, freed)


def _judge(
    facts: TrainingFacts, event: Event, optimizer: Optimizer, frozen: list[_Frozen], freed: list[Value]
) -> Iterator[Finding]:
    held = list(bases(optimizer))
    if not held or len(held) != len(list(bases(optimizer, whole=False))):
        return
    if not all(_covered(value, frozen) for value in held) or any(_concerns(free, held) for free in freed):
        return
    if any(touched_below(facts, value, frozen[-1].event.place) for value in held):
        return
    if any(call.name == "setattr" and has_parameters(call.arguments[2]) for call in facts.calls):
        # `setattr(module, name, Adapter(child))`, of all modules: the new parts learn.
        return
    values: dict[str, str | int | float] = {
        "optimizer": facts.name_of(optimizer, optimizer.name),
        "module": facts.name_of(held[0], getattr(held[0], "name", "the model")),
        "line": frozen[-1].event.place.line_from(event.place.path),
    }  # fmt: skip
    yield Finding("frozen-but-optimised", event.place.path, Range(*event.place.at), values)


def _concerns(freed: Value, held: list[Value]) -> bool:
    """Whether what is freed somewhere may be a part of what an optimizer holds."""
    unnamed = isinstance(freed, Unknown) and freed.origin in ("item", "call", "merge")
    return unnamed or any(related(value, freed) for value in held)


def _covered(value: Value, frozen: list[_Frozen]) -> bool:
    if any(found.covers(value) for found in frozen):
        return True
    if isinstance(value, Layer):
        inner = children(value)
        return bool(inner) and value.complete and all(_covered(child, frozen) for _, child in inner)
    if not isinstance(value, Instance) or value.cls.opaque:
        return False
    parts = [
        part
        for part in value.attributes.values()
        if role(part) == "module" or (isinstance(part, Tensor) and part.parameter)
    ]
    return bool(parts) and all(_covered(part, frozen) for part in parts)
