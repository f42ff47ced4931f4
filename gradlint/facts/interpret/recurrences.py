"""Recurrent layers at work: how long their sequences are, and whether their state is handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.interpret import tensors
from gradlint.facts.model import Recurrence
from gradlint.facts.values import (
    Collection,
    Initialiser,
    Layer,
    Place,
    Steps,
    Tensor,
    Unknown,
    Value,
    constant,
    integer,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_KEEP = frozenset({"to", "cuda", "cpu", "float", "double", "half", "contiguous", "clone", "type", "requires_grad_"})
_FACTORIES = frozenset({"zeros", "ones", "rand", "randn", "empty"})


def shaped(it: Interpreter, before: Value, after: Value, name: str, arguments: list[Value]) -> Value:
    """Remember the sizes that `after = before.name(*arguments)` fixes; something unseen gets a likeness of its own."""
    if name in _KEEP:
        sizes = it.sizes.get(id(before), {})
    elif name == "unfold" and len(arguments) > 1:
        window = integer(arguments[1])
        sizes = {-1: window} if window is not None else {}
    elif name == "unsqueeze" and arguments:
        dim = integer(arguments[0])
        sizes = {dim: 1} if dim is not None and dim >= 0 else {}
        if dim == -1:
            sizes = {-1: 1, **{place - 1: size for place, size in it.sizes.get(id(before), {}).items() if place < 0}}
    elif name in ("view", "reshape"):
        sizes = _sizes(arguments)
    else:
        sizes = {}
    if not sizes:
        return after
    if after is before and isinstance(before, Unknown):
        after = Unknown(before.hint, before.origin, before.uses, before.touched, before.parts, before.graph)
        after.formula = before.formula
        if id(before) in it.births:
            it.births[id(after)] = it.births[id(before)]
    it.sizes[id(after)] = sizes
    it.kept.append(after)
    return after


def _sizes(arguments: list[Value]) -> dict[int, int]:
    given = arguments[0].items if len(arguments) == 1 and isinstance(arguments[0], Collection) else arguments
    numbers = ((index, integer(value)) for index, value in enumerate(given))
    return {index: number for index, number in numbers if number is not None and number > 0}


def rounds(over: Value | None) -> int | None:
    """How often a loop over a range runs, where its bounds are known."""
    if not isinstance(over, Steps) or over.kind != "range":
        return None
    bounds = [number for number in map(integer, over.arguments) if number is not None]
    if len(bounds) != len(over.arguments) or not 1 <= len(bounds) <= 3 or bounds[2:] == [0]:
        return None
    return len(range(*bounds))


def applied(
    it: Interpreter, layer: Layer, source: Value | None, hidden: Value | None, outputs: tuple[Tensor, ...], place: Place
) -> None:
    """Keep one application of a recurrent layer as a fact."""
    if it.quiet:
        return
    fed = any(isinstance(part, Tensor) and part.state_of is layer for part in tensors.parts([hidden]))
    loops = tuple((number, it.rounds.get(number)) for number in it.repeats)
    it.facts.recurrences.append(Recurrence(layer, outputs, _length(it, layer, source), fed, loops, place))


def _length(it: Interpreter, layer: Layer, source: Value | None) -> int | None:
    if layer.name.endswith("Cell"):
        return 1
    first = constant(layer.keywords.get("batch_first"))
    sizes = it.sizes.get(id(source), {})
    made = source.made.get("shape") if isinstance(source, Tensor) and source.made else None
    if not sizes and isinstance(made, Initialiser) and made.kind in _FACTORIES:
        sizes = _sizes(made.arguments)
    known = sizes.get(1 if first else 0, sizes.get(-2 if first else -3))
    shape = source.shape if isinstance(source, (Tensor, Unknown)) else None
    place = shape.where(-2 if first else -3) if shape is not None else None
    if known is not None or shape is None or place is None or (shape.batched and place == 0 and not shape.open):
        return known
    return shape.sizes[place]
