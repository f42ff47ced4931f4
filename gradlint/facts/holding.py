"""Who holds what, as the code writes it: an unseen model is itself, and its attributes are parts of it.

`relations` asks what is proven of parameters; here two unseen things are the same only if they are the same value.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.interpret.modules import holds as registers
from gradlint.facts.values import (
    Choice,
    Collection,
    Instance,
    Layer,
    Mapping,
    Optimizer,
    Parameters,
    Tensor,
    Unknown,
    Value,
)


def bases(value: Value | None, *, whole: bool = True) -> Iterator[Value]:
    """The modules and tensors behind parameters; with `whole` none of which only a part may be meant."""
    if isinstance(value, Optimizer):
        for part in value.parameters:
            yield from bases(part, whole=whole)
    elif isinstance(value, Parameters):
        if value.whole or not whole:
            for owner in value.owners:
                yield from bases(owner, whole=whole)
    elif isinstance(value, Collection):
        for item in value.items:
            # Single parameters in a list of unknown length went through a test.
            if not (whole and value.open) or isinstance(item, (Parameters, Collection, Mapping)):
                yield from bases(item, whole=whole)
    elif isinstance(value, Mapping):
        yield from bases(value.items.get("params"), whole=whole)
    elif isinstance(value, Choice):
        if not whole:
            for option in value.options:
                yield from bases(option, whole=whole)
    elif isinstance(value, Tensor):
        # One parameter of many stands for some of them.
        if whole and value.attribute == "*":
            return
        yield value.owner if value.owner is not None and value.attribute == "*" else value
    elif value is not None:
        yield value


def contains(whole: Value, part: Value) -> bool:
    """Whether `part` is `whole` or surely lies in it."""
    if whole is part:
        return True
    if isinstance(part, Tensor) and part.owner is not None and part.owner is not part:
        return contains(whole, part.owner)
    if isinstance(whole, Unknown):
        return any(
            contains(inner, part) for inner in whole.parts.values() if isinstance(inner, (Unknown, Layer, Instance))
        )
    if isinstance(whole, (Layer, Instance)):
        if registers(whole, part):
            return True
        return isinstance(whole, Instance) and any(
            contains(inner, part) for inner in whole.attributes.values() if isinstance(inner, Unknown)
        )
    return False


def related(left: Value, right: Value) -> bool:
    """Whether one lies in the other."""
    return contains(left, right) or contains(right, left)


def holds(optimizer: Value, value: Value) -> bool:
    """Whether an optimizer surely holds a module or parameter, or all or part of it."""
    return any(related(base, value) for base in bases(optimizer))
