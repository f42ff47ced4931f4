"""Weights set by hand: `nn.init.xavier_uniform_(layer.weight)`, `layer.weight.data.normal_(0, 0.02)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.events import ManualUpdate
from gradlint.facts.interpret import calls, modules
from gradlint.facts.values import (
    UNKNOWN_START,
    Collection,
    Gradient,
    Initialiser,
    Instance,
    Layer,
    Place,
    Tensor,
    Value,
    constant,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_IN_PLACE = {
    "normal_": "normal_", "uniform_": "uniform_", "fill_": "constant_", "zero_": "zeros_", "copy_": "copy_",
    "clamp_": "", "add_": "", "mul_": "", "sub_": "", "div_": "", "addcdiv_": "", "addcmul_": "", "lerp_": "",
    "trunc_normal_": "trunc_normal_", "exponential_": "", "orthogonal_": "orthogonal_",
}  # fmt: skip
INITIALISING = frozenset(name for name, kind in _IN_PLACE.items() if kind) | {
    "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "constant_", "zeros_", "ones_",
    "sparse_", "eye_", "dirac_", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "constant",
    "orthogonal", "normal", "uniform",
}  # fmt: skip
"""Names that a piece of code which sets weights mentions, the old ones without underscore too."""


def function(it: Interpreter, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place) -> Value:
    """`torch.nn.init.*`: remember it on the layer whose weight it sets."""
    target = arguments[0] if arguments else keywords.get("tensor")
    kind = name.rpartition(".")[2]
    if isinstance(target, Tensor):
        _set(it, target, kind, arguments[1:], {k: v for k, v in keywords.items() if k != "tensor"}, place)
    if kind == "calculate_gain":
        return _gain(it, arguments, keywords)
    return target if target is not None else it.unknown(kind)


def _set(
    it: Interpreter, target: Tensor, kind: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> None:
    if not kind.endswith("_"):
        kind += "_"
    write(it, target, Initialiser(kind, arguments, keywords, place))


def write(it: Interpreter, target: Tensor, value: Initialiser) -> None:
    """Remember how a parameter, or its `.data`, got its values."""
    owner = target.owner
    if target.attribute == "*":
        # One value stands for many parameters: which of them it was nobody knows.
        for part in owner.items if isinstance(owner, Collection) else [owner] if owner is not None else []:
            for layer in modules.walk(part):
                if isinstance(layer, Layer):
                    it.journal.write(layer.started, "weight", UNKNOWN_START)
    elif isinstance(owner, Layer):
        it.journal.write(owner.started, target.attribute, value)
    else:
        own = owner.attributes.get(target.attribute) if isinstance(owner, Instance) else target
        if isinstance(own, Tensor) and own.made is not None:
            it.journal.write(own.made, "weight", value)


def in_place(
    it: Interpreter, target: Tensor, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> bool:
    """An in-place method of a parameter: an initialiser, or an update by hand inside a loop that trains."""
    if name not in _IN_PLACE:
        return False
    kind = _IN_PLACE[name]
    if not kind or it.repeats:
        gradient = any(isinstance(value, Gradient) for value in (*arguments, *keywords.values()))
        recording, bounds = target.parameter and it.recording, name.startswith(("clamp", "clip"))
        it.emit(ManualUpdate(place, it.frame.function, target, recording, gradient, bounds=bounds))
    if kind == "copy_" or (not kind and not it.repeats):
        write(it, target, UNKNOWN_START)
    if kind:
        if kind != "copy_":
            _set(it, target, kind, arguments, keywords, place)
        calls.record(it, f"Parameter.{name}", arguments, keywords, target, place, receiver=target)
    return True


def _gain(it: Interpreter, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    from gradlint.facts.values import Constant

    kind = constant(arguments[0]) if arguments else constant(keywords.get("nonlinearity"))
    table = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": 2**0.5, "leaky_relu": 2**0.5, "selu": 0.75}
    return Constant(table[kind]) if isinstance(kind, str) and kind in table else it.unknown("gain")
