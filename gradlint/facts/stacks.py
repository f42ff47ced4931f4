"""From the operations a forward was seen to do to stacks that `signal` can predict.

A run is a stretch of one forward between things whose gain nobody knows (attention, a product of two tensors, an unseen
module): weights, activations, norms, dropout, pools and residual paths, in order. Every weight has the widths of its
arguments, None where they are not known, and the initialiser that the script gave it, PyTorch's default where it gave
none.

Ratios are of gradient norms, first weight's output over last weight's output: norms do not fall where a layer is merely
narrower than the one before it, as amplitudes per element do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from gradlint.facts import activations, magnitudes, signal
from gradlint.facts.events import Escape, walk
from gradlint.facts.interpret import modules
from gradlint.facts.model import Stack, TrainingFacts
from gradlint.facts.ops import (
    WIDTH_IF_UNKNOWN,
    Activation,
    Dropout,
    Init,
    Norm,
    Op,
    Pool,
    Residual,
    Weight,
)  # fmt: skip
from gradlint.facts.torch_names import CONVOLUTIONS
from gradlint.facts.values import (
    UNKNOWN_START,
    Collection,
    Constant,
    FunctionValue,
    Initialiser,
    Instance,
    Layer,
    Operation,
    Place,
    Tensor,
    Value,
    constant,
    integer,
    is_module,
    number,
    started,
)  # fmt: skip

SATURATING = frozenset({"sigmoid", "tanh", "softsign", "hardsigmoid", "hardtanh", "logsigmoid"})
"""Activations whose derivative falls to zero on both sides, or is small everywhere."""
_SCALELESS = frozenset({"relu", "leaky_relu", "prelu", "rrelu", "identity"})
"""Activations whose gain does not depend on the size of what goes in."""
FITTED = 1.0
"""Decades of loss with the fitting initialiser below which a stack counts as one that an initialiser cures."""
_SETS = re.compile(r"init|reset|xavier|kaiming|orthogonal", re.IGNORECASE)
OPERATIONS = 4000
"""Operations of one forward that are looked at."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: `layers[i]` is what the weight number i of `ops` came from (a Layer, or the own parameter's Tensor)."""

    owner: Value
    place: Place
    ops: tuple[Op, ...]
    layers: tuple[Value, ...]

    @property
    def weights(self) -> list[Weight]:
        return [op for op in self.ops if isinstance(op, Weight)]

    @property
    def activation(self) -> str:
        """The activation met most often between the first and the last weight, empty if there is none."""
        last = max(index for index, op in enumerate(self.ops) if isinstance(op, Weight))
        found = Counter(op.activation for op in self.ops[:last] if isinstance(op, Activation))
        return found.most_common(1)[0][0] if found else ""

    @property
    def guarded(self) -> bool:
        """Whether a normalisation or a residual path lies in it."""
        return any(isinstance(op, (Norm, Residual)) for op in self.ops)

    @property
    def decades(self) -> float | None:
        """log10 of the predicted gradient norm at the first weight over the one at the last; None where unknown."""
        return norm_decades(self.ops)

    @property
    def fitted(self) -> float | None:
        """The same with the fitting initialiser of each activation and biases of zero."""
        return norm_decades(_fitted(self.ops))

    @property
    def initialisers(self) -> list[Initialiser | None]:
        """How each weight was set, None as it was built."""
        return [_initialiser(layer) for layer in self.layers]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a run, if its decades reach the limit of the rule: one kind a run.

    kind: saturating, deep, default, mismatch or scale; `fitted` is what the fitting initialiser would leave.
    """

    run: Run
    kind: str
    decades: float
    fitted: float

    def values(self) -> dict[str, str | int]:
        """The words that all messages about stacks use."""
        weights = self.run.weights
        return {
            "first": weights[0].name,
            "last": weights[-1].name,
            "layers": len(weights),
            "activation": self.run.activation,
            "ratio": magnitudes.format_decades(self.decades),
            "fitted_ratio": magnitudes.format_decades(self.fitted),
            "fitted": fitting_name(self.run.activation),
        }


def diagnoses(facts: TrainingFacts) -> Iterator[Diagnosis]:
    """What an initialiser or the architecture does to each stack of a file; one finding a stack."""
    untold = _untold(facts)
    for run in runs(facts):
        if len(run.weights) < 3 or not run.activation:
            continue
        decades, fitted = run.decades, run.fitted
        if decades is not None and fitted is not None and math.isfinite(decades):
            kind = _kind(run, decades, fitted)
            if kind and not (kind == "default" and any(_place_of(layer) in untold for layer in run.layers)):
                yield Diagnosis(run, kind, decades, fitted)


def _kind(run: Run, decades: float, fitted: float) -> str:
    if abs(fitted) >= FITTED:
        if decades > 0.0:
            return ""
        if run.activation in SATURATING:
            return "saturating"
        return "" if run.guarded else "deep"
    how = [_class_of(found) for found in run.initialisers]
    common = Counter(how).most_common(1)[0][0]
    if common == "default":
        return "default" if decades < 0.0 else ""
    return common


def _class_of(found: Initialiser | None) -> str:
    if found is None:
        return "default"
    return "mismatch" if found.kind.startswith(("xavier", "kaiming", "orthogonal")) else "scale"


@lru_cache(maxsize=1)
def runs(facts: TrainingFacts) -> tuple[Run, ...]:
    """All runs of a file, each part of the code once: the modules that the script builds come before assumed ones."""
    found: list[Run] = []
    seen: list[frozenset[Place]] = [_loaded(facts)]
    for stack in sorted(facts.stacks, key=_rank):
        for run in _runs_of(facts, stack):
            places = frozenset(_place_of(layer) for layer in run.layers)
            if not any(places <= other for other in seen):
                seen.append(places)
                place = _line(facts, run, stack)
                if place is not None:
                    found.append(replace(run, place=place))
    return tuple(found)


def _rank(stack: Stack) -> int:
    if isinstance(stack.owner, Instance):
        return 1 if stack.owner.assumed else 0
    return 2


def _place_of(layer: Value) -> Place:
    place = layer.place if isinstance(layer, (Layer, Tensor)) else None
    return place if place is not None else Place("", (id(layer), 0, 0, 0))


def _untold(facts: TrainingFacts) -> frozenset[Place]:
    """Layers that code which cannot be seen may have initialised: a foreign base class, a function named so."""
    owners: list[Value] = []
    for call in facts.calls:
        if (
            call.name == "Module.apply"
            and not isinstance(call.argument(0, "fn"), FunctionValue)
            and call.receiver is not None
        ):
            owners.append(call.receiver)
    for run in facts.runs:
        for event in walk(run.tree):
            if isinstance(event, Escape) and _SETS.search(event.callee):
                owners.extend(event.values)
    for stack in facts.stacks:
        owners.extend(part for part in modules.walk(stack.owner) if _foreign(part))
    owners.extend(write.value for write in facts.writes if _foreign(write.owner) and is_module(write.value))
    return frozenset(_place_of(part) for owner in owners for part in modules.walk(owner))


def _foreign(owner: Value) -> bool:
    """Whether an object has a base class that cannot be seen, and so may do anything to its layers."""
    if not isinstance(owner, Instance):
        return False
    seen = ("torch.nn.", "lightning.", "object", "abc.", "typing.")
    return owner.cls.opaque or not all(name.startswith(seen) for name in owner.cls.externals())


def _loaded(facts: TrainingFacts) -> frozenset[Place]:
    """Layers whose weights come from a file, where nothing trains them: what they start with is overwritten."""
    if facts.optimizers:
        return frozenset()
    receivers = [call.receiver for call in facts.calls if call.name == "Module.load_state_dict"]
    return frozenset(
        _place_of(part) for receiver in receivers if receiver is not None for part in modules.walk(receiver)
    )


def _line(facts: TrainingFacts, run: Run, stack: Stack) -> Place | None:
    """The innermost Sequential that holds the whole run, else the class; None if that stands in another file."""
    wanted = {id(layer) for layer in run.layers}
    best: tuple[int, Place] | None = None
    for part in modules.walk(stack.owner):
        if (
            isinstance(part, Layer)
            and part.name == "Sequential"
            and part.place is not None
            and part.place.path == facts.path
        ):
            held = {id(inner) for inner in modules.walk(part)}
            own = {
                id(v) for inner in modules.walk(part) if isinstance(inner, Instance) for v in inner.attributes.values()
            }
            if wanted <= held | own and (best is None or len(held) < best[0]):
                best = (len(held), part.place)
    place = best[1] if best is not None else stack.place
    return place if place.path == facts.path else None


def _runs_of(facts: TrainingFacts, stack: Stack) -> Iterator[Run]:
    chain = _chain(stack.last)
    names = _names(facts, stack.owner)
    builder = _Builder(names)
    for operation in chain:
        builder.add(operation)
    builder.end()
    for ops, layers in builder.finished:
        yield Run(stack.owner, stack.place, ops, layers)


def _chain(last: Operation | None) -> list[Operation]:
    found: list[Operation] = []
    while last is not None and len(found) < OPERATIONS:
        found.append(last)
        last = last.previous
    return found[::-1]


def _names(facts: TrainingFacts, owner: Value) -> dict[int, str]:
    prefix = facts.names.get(id(owner), "") if isinstance(owner, Layer) else ""
    prefix = prefix.removeprefix("self.")
    found: dict[int, str] = {}
    for path, part in modules.paths(owner):
        found.setdefault(id(part), f"{prefix}.{path}" if prefix and path else path or prefix)
        if isinstance(part, Instance):
            for name, value in part.attributes.items():
                if isinstance(value, Tensor) and value.parameter:
                    found.setdefault(id(value), f"{path}.{name}" if path else name)
    return found


class _Builder:
    """Collects ops until one breaks the run."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.finished: list[tuple[tuple[Op, ...], tuple[Value, ...]]] = []
        self.clear()

    def clear(self) -> None:
        self.ops: list[Op] = []
        self.layers: list[Value] = []
        self.after: dict[int, int] = {}
        self.spoiled = False

    def add(self, operation: Operation) -> None:
        if operation.kind in ("residual", "add"):
            self._join(operation)
        elif operation.kind not in ("reshape", "bias", "shift"):
            op = op_of(operation, self.names)
            if op is None:
                self.end()
            else:
                self._append(operation, op)
        self.after[id(operation)] = len(self.ops)

    def _append(self, operation: Operation, op: Op) -> None:
        self.ops.append(op)
        if isinstance(op, Weight) and operation.subject is not None:
            self.layers.append(_matrix(operation.subject))

    def _join(self, operation: Operation) -> None:
        """A residual path: plain, or through a shortcut that leaves the run at an earlier operation."""
        side: list[Op] = []
        branch = operation.branch
        while branch is not None and id(branch) not in self.after and len(side) < OPERATIONS:
            op = None if branch.kind in ("residual", "add") else op_of(branch, self.names)
            if branch.kind not in ("reshape", "bias", "shift"):
                if op is None:
                    branch = None
                    break
                side.append(op)
            branch = branch.previous
        if branch is None:
            # It comes from before the run, so the gradient of what lies in between has a second way.
            self.spoiled = True
            self.end()
            return
        self.ops.append(Residual(self.after[id(branch)], tuple(reversed(side))))

    def end(self) -> None:
        first = next((index for index, op in enumerate(self.ops) if isinstance(op, Weight)), None)
        if first is not None and len(self.layers) > 1 and not self.spoiled:
            ops = _with_ends(self.ops)
            begin = _bounded_start(ops, first)
            self.finished.append((tuple(ops[begin:]), tuple(self.layers[begin > 0 :])))
        self.clear()


def _bounded_start(ops: list[Op], first: int) -> int:
    """Where to begin if the first weight's fan-in decides and nobody knows it: the second one, whose inputs are bounded
    by a saturating activation; 0 where that cannot be.
    """
    weight = ops[first]
    if not isinstance(weight, Weight) or weight.inputs is not None or any(isinstance(op, Residual) for op in ops):
        return 0
    second = next((i for i, op in enumerate(ops[first + 1 :], first + 1) if isinstance(op, Weight)), len(ops))
    bounded = any(isinstance(op, Activation) and op.activation in SATURATING for op in ops[first:second])
    return second if bounded and sum(isinstance(op, Weight) for op in ops) > 2 else 0


def _with_ends(ops: list[Op]) -> list[Op]:
    """Widths that nobody knows at both ends, taken from the other side of their weight: norms do not depend on them."""
    places = [index for index, op in enumerate(ops) if isinstance(op, Weight)]
    first, last = ops[places[0]], ops[places[-1]]
    scaleless = all(op.activation in _SCALELESS for op in ops if isinstance(op, Activation))
    if isinstance(first, Weight) and first.inputs is None and (scaleless or first.init.scales_with_width):
        ops[places[0]] = replace(first, inputs=first.outputs)
    if isinstance(last, Weight) and last.outputs is None:
        ops[places[-1]] = replace(last, outputs=last.inputs)
    return ops


def _matrix(subject: Value) -> Value:
    return subject.arguments[0] if isinstance(subject, Layer) and subject.kind == "transposed" else subject


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
    matrix = _matrix(subject)
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


# Initialisers


def _initialiser(layer: Value) -> Initialiser | None:
    if isinstance(layer, Tensor):
        return started(layer.made or {}, "weight") or UNKNOWN_START
    return layer.initialised if isinstance(layer, Layer) else UNKNOWN_START


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
    init = replace(Init(name), **known)  # type: ignore[arg-type]
    if name == "uniform":
        init = replace(
            init, low=init.low if init.low is not None else 0.0, high=init.high if init.high is not None else 1.0
        )
    return _centred(init, 1.0)


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


def _fitted(ops: Sequence[Op]) -> list[Op]:
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


def norm_decades(ops: Sequence[Op]) -> float | None:
    """log10 of the gradient norm at the first weight's output over the one at the last weight's output.

    The amplitude's ratio times the square root of the ratio of the numbers of elements.
    """
    profile = signal.predict(ops)
    decades, weights = profile.decades, profile.weights
    if decades is None or len(weights) < 2:
        return None
    first, last = weights[0], weights[-1]
    elements = 1.0
    for layer in profile.layers[first.index + 1 : last.index + 1]:
        if isinstance(layer.op, Weight):
            elements *= 1.0 / layer.op.stride if layer.op.kind == "transposed" else layer.op.stride
        elif isinstance(layer.op, Pool):
            elements *= layer.op.taps or 1.0
    wide, narrow = first.op, last.op
    if isinstance(wide, Weight) and isinstance(narrow, Weight) and wide.outputs and narrow.outputs:
        elements *= wide.outputs / narrow.outputs
    return decades + 0.5 * math.log10(elements)


def common_initialiser(run: Run) -> tuple[Initialiser, int] | None:
    """The initialiser that most weights of a run were given, and the number of the first weight that has it."""
    given = [(found, index) for index, found in enumerate(run.initialisers) if found is not None]
    places = Counter(found.place for found, _ in given)
    if not places:
        return None
    place = places.most_common(1)[0][0]
    return next((found, index) for found, index in given if found.place == place)


def spelled(found: Initialiser) -> str:
    """An initialiser as the code calls it, with the arguments that are numbers or words: `normal_(0.0, std=0.01)`."""
    words = [_word(value) for value in found.arguments]
    named = [f"{key}={_word(value)}" for key, value in found.keywords.items() if key != "scale"]
    return f"{found.kind}({', '.join([*words, *named])})"


def _word(value: Value) -> str:
    known = constant(value)
    return f"{known:.3g}" if isinstance(known, float) else "…" if known is None else repr(known)


def times_fitting(weight: Weight, activation: str) -> tuple[float, int]:
    """Standard deviation of a weight over the one of the fitting initialiser, and its fan-in."""
    inputs = weight.inputs or WIDTH_IF_UNKNOWN
    outputs = weight.outputs or inputs
    fan_in = round(inputs * weight.taps / weight.groups)
    given = weight.init.variance(inputs, outputs, weight.taps, weight.groups)
    fit = fitting(activation).variance(inputs, outputs, weight.taps, weight.groups)
    return (math.sqrt(given / fit) if given is not None and fit else math.inf), fan_in
