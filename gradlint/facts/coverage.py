"""Which layers a set of parameters takes in."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.interpret import modules
from gradlint.facts.values import (
    Choice,
    Collection,
    Instance,
    Layer,
    Optimizer,
    Parameters,
    Tensor,
    Unknown,
    Value,
    is_module,
    options,
)


def leaves(value: Value) -> dict[Value, Value] | None:
    """Layers and parameters behind `value`, each with the owner it was asked of; None if any is unseen or left out."""
    if not _whole(value):
        return None
    owners = relations.owners(value)
    if owners is None:
        return None
    found: dict[Value, Value] = {}
    for owner in owners:
        parts = [owner] if isinstance(owner, Tensor) else list(modules.walk(owner))
        for part in parts:
            if isinstance(part, Choice):
                # A branch decides which of several modules it has.
                return None
            if isinstance(part, Instance):
                for attribute in part.attributes.values():
                    for option in options(attribute):
                        if isinstance(option, Tensor) and option.parameter and _learns(option):
                            found.setdefault(option, owner)
            elif not isinstance(part, Layer) or not part.children:
                found.setdefault(part, owner)
    return found


def _learns(parameter: Tensor) -> bool:
    """Whether it was not made with `requires_grad=False`, as masks are that only move along."""
    return bool(parameter.roots) or parameter.mystery


def _whole(value: Value) -> bool:
    if isinstance(value, Optimizer):
        return all(_whole(part) for part in value.parameters)
    if isinstance(value, Collection):
        return not value.open and all(_whole(item) for item in value.items)
    return not isinstance(value, Parameters) or (value.whole and all(_whole(owner) for owner in value.owners))


def sources(value: Value) -> list[Value]:
    """The modules, seen or not, that parameters were asked of."""
    if isinstance(value, Optimizer):
        return [source for part in value.parameters for source in sources(part)]
    if isinstance(value, Parameters):
        return [source for owner in value.owners for source in sources(owner)]
    if isinstance(value, Collection):
        return [source for item in value.items for source in sources(item)]
    return [value] if isinstance(value, (Unknown, Tensor)) or is_module(value) else []
