"""How a layer, or a parameter used like one, becomes an op that `signal` knows."""

from __future__ import annotations

import math

from gradlint.facts import activations
from gradlint.facts.initialisation import init_of
from gradlint.facts.interpret import modules
from gradlint.facts.ops import Activation, Dropout, Init, Norm, Op, Pool, Weight
from gradlint.facts.torch_names import CONVOLUTIONS
from gradlint.facts.values import (
    Collection,
    Initialiser,
    Layer,
    Operation,
    Tensor,
    Value,
    constant,
    integer,
    number,
    started,
)  # fmt: skip


def op_of(operation: Operation, names: dict[int, str]) -> Op | None:
    """One operation as `signal` knows it; None where its gain is not known."""
    kind, subject = operation.kind, operation.subject
    if kind in ("linear", "conv"):
        return _weight(kind, subject, names)
    layer = subject if isinstance(subject, Layer) else None
    if kind == "norm":
        return _norm(layer)
    if kind == "dropout":
        given = layer.argument(0, "p") if layer is not None else None
        p = number(given) if given is not None else 0.5
        return Dropout(
            p if p is not None and 0.0 <= p < 1.0 and layer is not None and "Alpha" not in layer.name else 0.0
        )
    if kind == "pool":
        return _pool(layer)
    if activations.knows_activation(kind):
        return Activation(kind, _slope(kind, layer))
    return None


def matrix_of(subject: Value) -> Value:
    return subject.arguments[0] if isinstance(subject, Layer) and subject.kind == "transposed" else subject


def _weight(kind: str, subject: Value | None, names: dict[int, str]) -> Weight | None:
    if isinstance(subject, Tensor) or (isinstance(subject, Layer) and subject.kind == "transposed"):
        return _own_weight(subject, names)
    if not isinstance(subject, Layer) or subject.name == "Bilinear":
        return None
    name = names.get(id(subject), subject.name)
    bias = None if modules.biasless(subject) else init_of(started(subject.started, "bias"), Init())
    init = init_of(subject.initialised)
    if subject.name == "LazyLinear":
        return Weight("linear", None, integer(subject.argument(0, "out_features")), init=init, bias=bias, name=name)
    if kind == "linear":
        widths = integer(subject.argument(0, "in_features")), integer(subject.argument(1, "out_features"))
        return Weight("linear", *widths, init=init, bias=bias, name=name)
    if subject.name not in CONVOLUTIONS:
        return None
    dimensions = int(subject.name[-2])
    lazy = subject.name.startswith("Lazy")
    taps = _taps(subject.argument(1 if lazy else 2, "kernel_size"), dimensions)
    given = subject.argument(2 if lazy else 3, "stride")
    stride = 1.0 if given is None else _taps(given, dimensions)
    groups = subject.keywords.get("groups")
    if taps is None or stride is None or (groups is not None and integer(groups) is None):
        return None
    inputs = None if lazy else integer(subject.argument(0, "in_channels"))
    outputs = integer(subject.argument(0 if lazy else 1, "out_channels"))
    way = "transposed" if "Transpose" in subject.name else "conv"
    return Weight(way, inputs, outputs, taps, stride, integer(groups) or 1, init, bias, name)


def _own_weight(subject: Value, names: dict[int, str]) -> Weight | None:
    """A parameter that the script multiplies with: its shape is that of the factory that made it."""
    matrix = matrix_of(subject)
    if not isinstance(matrix, Tensor) or matrix.made is None:
        return None
    shape = matrix.made.get("shape")
    if not isinstance(shape, Initialiser):
        return None
    sizes = shape.arguments
    if len(sizes) == 1 and isinstance(sizes[0], Collection):
        sizes = sizes[0].items
    if len(sizes) != 2:
        return None
    rows, columns = integer(sizes[0]), integer(sizes[1])
    inputs, outputs = (columns, rows) if matrix is not subject else (rows, columns)
    init = init_of(started(matrix.made, "weight"))
    return Weight("linear", inputs, outputs, init=init, bias=None, name=names.get(id(matrix), matrix.hint))


def _taps(value: Value | None, dimensions: int) -> float | None:
    if isinstance(value, Collection):
        sizes = [integer(item) for item in value.items]
        return None if value.open or None in sizes else float(math.prod(size for size in sizes if size is not None))
    size = integer(value)
    return None if size is None else float(size) ** dimensions


def _norm(layer: Layer | None) -> Norm | None:
    if layer is None or layer.name == "LocalResponseNorm":
        return None
    name = layer.name.lower().replace("_", "")
    kind = next((k for k in ("batch", "layer", "rms", "group", "instance") if k in name), None)
    gamma = started(layer.started, "weight")
    if kind is None:
        return None
    if gamma is None:
        return Norm(kind)
    scale = {"ones_": 1.0, "constant_": number(gamma.arguments[0]) if gamma.arguments else None}.get(gamma.kind)
    return Norm(kind, scale) if scale else Norm(kind)


def _pool(layer: Layer | None) -> Pool | None:
    if layer is None or "Adaptive" in layer.name or "adaptive" in layer.name or "LP" in layer.name:
        return None
    name = layer.name.lower()
    kernel = layer.argument(0, "kernel_size")
    stride = layer.argument(1, "stride")
    if stride is not None and constant(stride) is not None and constant(stride) != constant(kernel):
        return None
    taps = _taps(kernel, int(name[-2]) if name[-1] == "d" and name[-2].isdigit() else 1)
    return Pool("max" if "max" in name else "avg", taps) if taps is not None else None


_SLOPES = {
    "leaky_relu": ("negative_slope", 0.01),
    "elu": ("alpha", 1.0),
    "celu": ("alpha", 1.0),
    "prelu": ("init", 0.25),
}


def _slope(kind: str, layer: Layer | None) -> float | None:
    if kind not in _SLOPES or layer is None:
        return None
    given = layer.argument(1 if layer.name == "PReLU" else 0, _SLOPES[kind][0])
    return (
        number(given)
        if given is not None and not (kind == "prelu" and layer.kind.startswith("torch.nn.functional"))
        else None
    )
