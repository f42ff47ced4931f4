"""Initialisers: as `signal` knows them, the one that fits an activation, and how the code spells them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradlint.facts.activations import SATURATING
from gradlint.facts.ops import WIDTH_IF_UNKNOWN, Activation, Init, Op, Weight
from gradlint.facts.record import replace
from gradlint.facts.values import UNKNOWN_START, Constant, Initialiser, Layer, Tensor, Value, constant, number, started


def init_of(found: Initialiser | None, default: Init | None = None) -> Init:
    """An initialiser as `signal` knows it: `unknown` where an argument is not known or its values are all the same."""
    if found is None:
        return default or Init()
    name = found.kind.rstrip("_")
    if name in _FACTORIES and not found.kind.endswith("_"):
        scale = number(found.keywords.get("scale", Constant(1.0)))
        return _centred(_FACTORIES[name], scale) if scale is not None else UNKNOWN
    if name not in _ORDER:
        return default or UNKNOWN
    order = _ORDER[name]
    given: dict[str, Value] = dict(zip(order, found.arguments, strict=False))
    for key, value in found.keywords.items():
        spelled = _SPELLING.get(key, key)
        given["low" if key == "a" and "low" in order else spelled] = value
    known: dict[str, float | str] = {}
    for key, value in given.items():
        if key in ("generator", "scale"):
            continue
        item = constant(value) if key in ("mode", "nonlinearity") else number(value)
        if key not in order or item is None or isinstance(item, bool):
            return default or UNKNOWN
        known[key] = item
    init = replace(Init(name), **known)
    if name == "uniform":
        init = replace(
            init, low=init.low if init.low is not None else 0.0, high=init.high if init.high is not None else 1.0
        )
    return _centred(init, 1.0)


_ORDER = {
    "xavier_uniform": ("gain",), "xavier_normal": ("gain",), "orthogonal": ("gain",), "normal": ("mean", "std"),
    "uniform": ("low", "high"), "trunc_normal": ("mean", "std", "low", "high"), "constant": ("value",),
    "kaiming_uniform": ("slope", "mode", "nonlinearity"), "kaiming_normal": ("slope", "mode", "nonlinearity"),
    "zeros": (), "ones": (),
}  # fmt: skip


_SPELLING = {"a": "slope", "b": "high", "val": "value", "from": "low", "to": "high", "fill_value": "value"}


_FACTORIES = {
    "randn": Init("normal"),
    "rand": Init("uniform", low=0.0, high=1.0),
    "zeros": Init("zeros"),
    "ones": Init("constant", value=1.0),
}


UNKNOWN = Init("unknown")


def _centred(init: Init, scale: float) -> Init:
    """`init` times a constant. One whose mean is not zero counts by its second moment, which understates its growth."""
    if init.name == "uniform" and init.low is not None and init.high is not None and init.low != -init.high:
        second = (init.low**2 + init.low * init.high + init.high**2) / 3.0
        return Init("measured", std=math.sqrt(second) * scale)
    if init.name == "normal" and init.mean != 0.0:
        return Init("measured", std=math.hypot(init.mean, init.std) * scale)
    if init.name == "constant" and init.value == 0.0:
        return Init("zeros")
    if scale == 1.0:
        return init
    return Init("measured", std=init.std * scale) if init.name == "normal" else UNKNOWN


def initialiser_of(layer: Value) -> Initialiser | None:
    if isinstance(layer, Tensor):
        return started(layer.made or {}, "weight") or UNKNOWN_START
    return layer.initialised if isinstance(layer, Layer) else UNKNOWN_START


def fitted_ops(ops: Sequence[Op]) -> list[Op]:
    """The same stack with the initialiser of the activation that follows each weight, and biases of zero."""
    fitted = list(ops)
    following: Activation | None = None
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        if isinstance(op, Activation):
            following = op
        elif isinstance(op, Weight):
            init = fitting(
                following.activation if following is not None else "identity",
                following.slope if following is not None else None,
            )
            fitted[index] = replace(op, init=init, bias=None if op.bias is None else Init("zeros"))
            following = None
    return fitted


def fitting(activation: str, slope: float | None = None) -> Init:
    """The initialiser that is usual before an activation."""
    if activation in SATURATING:
        return Init("xavier_uniform")
    if activation in ("selu", "identity"):
        return Init("kaiming_normal", nonlinearity="linear")
    if activation == "leaky_relu":
        return Init("kaiming_normal", nonlinearity="leaky_relu", slope=0.01 if slope is None else slope)
    return Init("kaiming_normal", nonlinearity="relu")


def fitting_name(activation: str) -> str:
    """The initialiser that is usual before an activation, as its users call it."""
    if activation in SATURATING:
        return "`xavier_uniform_`"
    if activation == "selu":
        return '`kaiming_normal_(nonlinearity="linear")`'
    return "`kaiming_normal_`"


def times_fitting(weight: Weight, activation: str) -> tuple[float, int]:
    """Standard deviation of a weight over the one of the fitting initialiser, and its fan-in."""
    inputs = weight.inputs or WIDTH_IF_UNKNOWN
    outputs = weight.outputs or inputs
    fan_in = round(inputs * weight.taps / weight.groups)
    given = weight.init.variance(inputs, outputs, weight.taps, weight.groups)
    fit = fitting(activation).variance(inputs, outputs, weight.taps, weight.groups)
    return (math.sqrt(given / fit) if given is not None and fit else math.inf), fan_in


def spelled(found: Initialiser) -> str:
    """An initialiser as the code calls it, with the arguments that are numbers or words: `normal_(0.0, std=0.01)`."""
    words = [_word(value) for value in found.arguments]
    named = [f"{key}={_word(value)}" for key, value in found.keywords.items() if key != "scale"]
    return f"{found.kind}({', '.join([*words, *named])})"


def _word(value: Value) -> str:
    known = constant(value)
    return f"{known:.3g}" if isinstance(known, float) else "…" if known is None else repr(known)
