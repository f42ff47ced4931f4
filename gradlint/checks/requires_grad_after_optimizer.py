"""GL218: parameters that are freed after the optimizer was built without them, because they were frozen."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Construct, Freeze, OptimizerStep, walk
from gradlint.facts.holding import bases, contains, related
from gradlint.facts.model import TrainingFacts
from gradlint.facts.sequence import before
from gradlint.facts.values import Collection, Mapping, Optimizer, Parameters, Tensor, Unknown, Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every switch to trainable that comes after a freeze and an optimizer built between the two."""
    seen: set[object] = set()
    for run in facts.runs:
        frozen: list[Value] = []
        left_out: list[tuple[Optimizer, Value]] = []
        events = walk([*before(facts, run), *run.tree])
        for index, event in enumerate(events):
            if isinstance(event, Freeze) and event.trainable is not True:
                frozen.append(event.target)
            elif isinstance(event, Construct) and isinstance(event.value, Optimizer):
                left_out.extend((event.value, target) for target in frozen)
            elif isinstance(event, Freeze) and event.place not in seen:
                optimizer = next((o for o, t in left_out if _same(t, event.target)), None)
                later = [e.value for e in events[index:] if isinstance(e, Construct) and isinstance(e.value, Optimizer)]
                built = [o for o, _ in left_out]
                if optimizer is None or any(_takes(o, event.target) for o in [*built, *later]):
                    continue
                if _added(facts, event.target):
                    continue
                if not any(isinstance(e, OptimizerStep) for e in events[index:]):
                    continue
                seen.add(event.place)
                values: dict[str, str | int | float] = {
                    "target": facts.name_of(event.target, "the module"),
                    "optimizer": facts.name_of(optimizer, optimizer.name),
                    "line": optimizer.place.line_from(event.place.path),
                }  # fmt: skip
                yield Finding("requires-grad-after-optimizer", event.place.path, Range(*event.place.at), values)


def _same(frozen: Value, freed: Value) -> bool:
    if isinstance(frozen, Unknown) and isinstance(freed, Unknown) and frozen.origin == freed.origin == "item":
        return frozen.hint == freed.hint
    return related(frozen, freed)


def _takes(optimizer: Optimizer, target: Value) -> bool:
    """Whether an optimizer holds, or may hold, what is freed whatever was frozen when it was built."""
    for part in _sets(optimizer):
        if isinstance(part, Parameters):
            if not part.filtered and any(_same(owner, target) for owner in part.owners):
                return True
        elif isinstance(part, Tensor):
            if part.attribute != "*" and contains(target, part):
                return True
        else:
            return True
    return not list(bases(optimizer, whole=False))


def _added(facts: TrainingFacts, target: Value) -> bool:
    """Whether a group was added to an optimizer that may hold what is freed."""
    groups = [c.arguments[0] for c in facts.calls if c.name == "Optimizer.add_param_group" and c.arguments]
    return any(_same(base, target) for group in groups for base in bases(group, whole=False))


def _sets(value: Value) -> Iterator[Value]:
    if isinstance(value, Optimizer):
        for part in value.parameters:
            yield from _sets(part)
    elif isinstance(value, Collection):
        for item in value.items:
            yield from _sets(item)
    elif isinstance(value, Mapping) and "params" in value.items:
        yield from _sets(value.items["params"])
    else:
        yield value
