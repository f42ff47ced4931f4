"""What a loss trains and no optimizer holds."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts import coverage, relations
from gradlint.facts.events import Event
from gradlint.facts.interpret import modules, tensors
from gradlint.facts.model import TrainingFacts
from gradlint.facts.spared import spared
from gradlint.facts.values import Layer, Optimizer, Tensor, Value, is_module


def forgotten(module: Value, optimizers: list[Value], events: list[Event]) -> bool:
    """Whether no optimizer holds a module and nothing says that this is meant."""
    if not all(relations.apart(module, optimizer) for optimizer in optimizers):
        return False
    return not any(spared(event, module, events) for event in events)


def parts_left(
    facts: TrainingFacts, loss: Tensor, root: Value, optimizers: list[Value], events: list[Event]
) -> list[str]:
    """Parts of a module, built here at random, that the loss hangs on and that the optimizers of the rest leave out."""
    parts = [source for o in optimizers if isinstance(o, Optimizer) for source in relations.sources(o) or []]
    if not any(part is not root and relations.within(part, root) for part in parts):
        return []
    held = [(coverage.leaves(o), relations.sources(o) if isinstance(o, Optimizer) else None) for o in optimizers]
    above = tensors.ancestry(loss)
    reached = {leaf for key in above for leaf in facts.inner.get(key, ())}
    left: dict[str, None] = {}
    for path, part in modules.paths(root):
        if (
            part in reached
            and isinstance(part, Layer)
            and not any(_may_hold(*known, part) for known in held)
            and relations.has_parameters(part)
        ):
            if any(spared(event, part, events) for event in events):
                return []
            left.setdefault(path.partition(".")[0])
    return [f"`{facts.name_of(root, 'a module')}.{name}`" for name in left]


def _may_hold(leaves: dict[Value, Value] | None, sources: list[Value] | None, part: Layer) -> bool:
    """Whether an optimizer holds a layer, or may do so: one of what it was built over has it."""
    if leaves is not None:
        return part in leaves
    return sources is None or any(not is_module(source) or relations.within(part, source) for source in sources)


def parameters_left(loss: Tensor, optimizers: list[Value], events: list[Event]) -> Iterator[Tensor]:
    """Parameters that are no module's, as the weights of several losses, and that no optimizer was given."""
    own = [r for r in loss.roots if isinstance(r, Tensor) and r.parameter and r.attribute != "leaf" and r.owner is None]
    held = [coverage.leaves(optimizer) for optimizer in optimizers] if own else []
    for parameter in own:
        left = bool(held) and all(found is not None and parameter not in found for found in held)
        if left and not any(spared(event, parameter, events) for event in events):
            yield parameter
