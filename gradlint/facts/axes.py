"""Which axis of a sequence is the batch and which is time, as the code of a forward treats it.

An axis keeps its identity through layers that work on the last one, through transpositions and through recurrent and
attention layers; what the code does with it tells what it is: the last entry is taken of time, a state has one row a
sample, a convolution's first axis is the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gradlint.facts import code, small_batches
from gradlint.facts.interpret.writing import text_of
from gradlint.facts.loaders import training_loaders
from gradlint.facts.model import TrainingFacts
from gradlint.facts.record import record, replace
from gradlint.facts.torch_names import ACTIVATIONS, ATTENTION, CONVOLUTIONS, FUNCTIONAL_ACTIVATIONS, RECURRENT
from gradlint.facts.values import Choice, Collection, Constant, FunctionValue, Instance, Layer, Value, constant, integer

_SEQUENCES = (RECURRENT - {"RNNCell", "LSTMCell", "GRUCell", "RNNBase"}) | ATTENTION
_FLAG_AT = {
    "RNN": 5, "LSTM": 4, "GRU": 4, "MultiheadAttention": 8, "TransformerEncoderLayer": 6, "TransformerDecoderLayer": 6,
    "Transformer": 10,
}  # fmt: skip
"""Where `batch_first` stands among the positional arguments."""
_LAST_AXIS = frozenset({"Linear", "LayerNorm", "RMSNorm", "Dropout", "Identity"}) | set(ACTIVATIONS)
_IMAGES = CONVOLUTIONS | {"BatchNorm1d", "BatchNorm2d", "MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d"}
_ELEMENTWISE = FUNCTIONAL_ACTIVATIONS | {"dropout", "layer_norm", "normalize"}
_KEEPS = frozenset({"contiguous", "float", "double", "half", "to", "cuda", "cpu", "clone", "detach", "type", "long"})
_MADE = frozenset({"zeros", "ones", "rand", "randn", "empty", "new_zeros", "new_ones", "new_empty"})


@record
class Evidence:
    """What tells the meaning of an axis, as the code writes it."""

    text: str
    line: int


@record
class Axis:
    """One axis, and what was seen of it."""

    batch: Evidence | None = None
    time: Evidence | None = None


@record
class Use:
    """A recurrent or attention layer applied to a tensor with these first two axes."""

    layer: Layer
    first: Axis
    second: Axis


@record
class _Tensor:
    """Its first three axes, None where unknown.

    `made`: by the code itself; `sequence`: a layer's output; `certain`: surely of rank three or more; `single`: each
    channel has one value a sample.
    """

    axes: list[Axis | None]
    made: bool = False
    sequence: bool = False
    certain: bool = False
    single: bool = False


@record
class _Shape:
    tensor: _Tensor


@record
class _Last:
    """The size of an axis, less one."""

    axis: Axis


@record
class _Reader:
    """Reads one forward, statement by statement; branches count for what they do, not for what they leave behind."""

    attributes: dict[str, Value]
    names: dict[str, Any]
    uses: list[Use] = field(default_factory=list)
    norms: list[tuple[Layer, Axis]] = field(default_factory=list)

    # Statements

    def block(self, statements: list[Any]) -> None:
        for statement in statements:
            if isinstance(statement, code.Assign):
                value = self.read(statement.value)
                for target in statement.targets:
                    self.bind(target, value)
            elif isinstance(statement, code.Augmented):
                self.read(statement.value)
            elif isinstance(statement, code.With):
                self.block(statement.body)
            elif isinstance(statement, (code.Evaluate, code.Return)):
                self.read(statement.value)
            elif isinstance(statement, (code.If, code.For, code.While, code.Try)):
                before = dict(self.names)
                self.block(statement.body)
                after, self.names = self.names, dict(before)
                self.block(statement.orelse)
                self.names = {n: v for n, v in before.items() if after.get(n) is v and self.names.get(n) is v}

    def bind(self, target: Any, value: Any) -> None:
        if isinstance(target, code.Name):
            self.names[target.name] = value
        elif isinstance(target, code.Sequence):
            given = value.tensor.axes if isinstance(value, _Shape) else value if isinstance(value, list) else []
            for index, item in enumerate(target.items):
                self.bind(item, given[index] if index < len(given) else None)

    # Expressions

    def read(self, expr: Any) -> Any:
        if isinstance(expr, code.Name):
            return self.names.get(expr.name)
        if isinstance(expr, code.Call):
            return self.call(expr)
        if isinstance(expr, code.Attribute):
            base = self.read(expr.base)
            return _Shape(base) if expr.name == "shape" and isinstance(base, _Tensor) else None
        if isinstance(expr, code.Subscript):
            return self.subscript(expr)
        if isinstance(expr, code.Binary):
            left, right = self.read(expr.left), self.read(expr.right)
            if isinstance(left, Axis):
                return _Last(left) if expr.op == "-" and _whole(expr.right) == 1 else None
            return next((side for side in (left, right) if isinstance(side, _Tensor) and not side.made), None)
        if isinstance(expr, code.Sequence):
            return [self.read(item) for item in expr.items]
        return None

    def subscript(self, expr: code.Subscript) -> Any:
        base, index = self.read(expr.base), expr.index
        if isinstance(base, list):
            position = _whole(index[0]) if len(index) == 1 else None
            return base[position] if position is not None and -len(base) <= position < len(base) else None
        if isinstance(base, _Shape):
            position = _whole(index[0])
            if isinstance(index[0], code.Slice):
                return list(base.tensor.axes)
            return base.tensor.axes[position] if position in (0, 1, 2) else None
        if isinstance(base, _Tensor) and base.sequence:
            self.looked_at(base, expr)
        return None

    def looked_at(self, output: _Tensor, expr: code.Subscript) -> None:
        """`output[:, -1]` takes the last step of axis 1, `output[length - 1]` that of axis 0."""
        first = expr.index[0]
        second = expr.index[1] if len(expr.index) > 1 else None
        evidence = Evidence(_spelled(expr), expr.at[0] if expr.at else 0)
        one, two = output.axes[0], output.axes[1]
        if _everything(first) and _whole(second) == -1 and two is not None:
            two.time = two.time or evidence
        elif one is not None and second is None:
            last = self.read(first)
            if (isinstance(last, _Last) and last.axis is one) or (_whole(first) == -1 and output.certain):
                one.time = one.time or evidence

    def call(self, expr: code.Call) -> Any:
        func = expr.func
        given = [self.read(argument.value) for argument in expr.arguments]
        plain = [value for value, argument in zip(given, expr.arguments, strict=True) if not argument.star]
        named = {a.name: value for a, value in zip(expr.arguments, given, strict=True) if a.name}
        layer = self.layer(func)
        if layer is not None:
            return self.applied(layer, plain, named, expr)
        if isinstance(func, code.Name):
            return given[0].axes[0] if func.name == "len" and given and isinstance(given[0], _Tensor) else None
        if not isinstance(func, code.Attribute):
            return None
        base = self.read(func.base)
        if func.name in _MADE or func.name in ("expand", "repeat"):
            return self.sized(expr, given)
        if isinstance(base, _Tensor):
            return self.method(base, func.name, expr)
        if func.name in ("cat", "concat", "concatenate"):
            return self.joined(expr, given)
        return given[0] if func.name in _ELEMENTWISE and given and isinstance(given[0], _Tensor) else None

    def sized(self, expr: code.Call, given: list[Any]) -> _Tensor:
        sizes = given[0] if given and isinstance(given[0], list) else given
        axes = [size if isinstance(size, Axis) else None for size in sizes[:3]]
        return _Tensor([*axes, None, None, None][:3], made=True)

    def method(self, tensor: _Tensor, name: str, expr: code.Call) -> Any:
        numbers = [_whole(argument.value) for argument in expr.arguments]
        a, b, c = tensor.axes
        if name == "size":
            wanted = numbers[0] if numbers else None
            return tensor.axes[wanted] if wanted in (0, 1, 2) else _Shape(tensor) if not numbers else None
        if name in _KEEPS or (name in _ELEMENTWISE and not tensor.made):
            return tensor
        if name in ("transpose", "swapaxes"):
            pair = sorted(n for n in numbers if n is not None)
            swapped = {(0, 1): [b, a, c], (1, 2): [a, c, b], (0, 2): [c, b, a], (-2, -1): [a, None, None]}
            axes = swapped.get((pair[0], pair[1])) if len(pair) == 2 else None
            certain = tensor.certain or pair[-1:] == [2]
            return _Tensor(axes, tensor.made, tensor.sequence, certain) if axes is not None else None
        if name == "permute" and len(numbers) >= 3:
            axes = [tensor.axes[n] if n in (0, 1, 2) else None for n in numbers[:3]]
            return _Tensor(axes, tensor.made, tensor.sequence, certain=True)
        if name == "t":
            return _Tensor([b, a, None], tensor.made)
        if name == "flatten" and numbers == [2]:
            return _Tensor([a, b, None], tensor.made, certain=True)
        if name in ("view", "reshape", "flatten", "mean", "amax"):
            return _Tensor([a, None, None], single=True) if self.one_row_a_sample(tensor, name, expr) else None
        return None

    def one_row_a_sample(self, tensor: _Tensor, name: str, expr: code.Call) -> bool:
        """`x.flatten(1)`, `x.view(x.size(0), -1)`, `x.mean((2, 3))`."""
        given = [argument.value for argument in expr.arguments]
        if name in ("view", "reshape"):
            return len(given) == 2 and self.read(given[0]) is tensor.axes[0] and _whole(given[1]) == -1
        if name == "flatten":
            return len(given) == 1 and _whole(given[0]) == 1
        dims = given[0] if given else None
        return isinstance(dims, code.Sequence) and [_whole(i) for i in dims.items] in ([2, 3], [-2, -1], [-1, -2])

    def joined(self, expr: code.Call, given: list[Any]) -> Any:
        """`torch.cat([token, x], dim=1)`: a token for each sample is as many rows as the batch has."""
        parts = given[0] if given and isinstance(given[0], list) else []
        whole = next((part for part in parts if isinstance(part, _Tensor) and not part.made), None)
        dim = next((a.value for a in expr.arguments if a.name in ("dim", "axis")), None)
        place = _whole(dim if dim is not None else expr.arguments[1].value if len(expr.arguments) > 1 else None)
        if whole is None or place in (None, 0):
            return None
        rows = [part.axes[0] for part in parts if isinstance(part, _Tensor) and part.made]
        axis = whole.axes[0]
        if place == 1 and axis is not None and axis in rows:
            axis.batch = axis.batch or Evidence(text_of(expr), expr.at[0] if expr.at else 0)
        return whole

    # Layers

    def layer(self, func: Any) -> Layer | None:
        own = isinstance(func, code.Attribute) and isinstance(func.base, code.Name) and func.base.name == "self"
        value = self.attributes.get(func.name) if own else None
        if isinstance(value, Choice):
            value = value.options[0] if len({getattr(o, "kind", "") for o in value.options}) == 1 else None
        return value if isinstance(value, Layer) and value.kind.startswith("torch.nn.") else None

    def applied(self, layer: Layer, given: list[Any], named: dict[str, Any], expr: code.Call) -> Any:
        source = given[0] if given else None
        if not isinstance(source, _Tensor):
            source = _Tensor([None, None, None])
        if layer.name in _SEQUENCES:
            return self.sequence(layer, source, given, expr)
        if "BatchNorm" in layer.name and source.single and source.axes[0] is not None:
            self.norms.append((layer, source.axes[0]))
            return source
        if layer.name in _LAST_AXIS:
            # Behind a Linear, batch-norm takes (batch, channels): with a third axis, the sizes would not fit.
            return replace(source, single=True) if layer.name == "Linear" and not source.certain else source
        if layer.name in ("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d") and _one_position(layer, 0):
            return _Tensor([source.axes[0], None, None], single=True)
        if layer.name == "Flatten" and not layer.arguments and not layer.keywords:
            return _Tensor([source.axes[0], None, None], single=True)
        if layer.name in CONVOLUTIONS and source.single and _one_position(layer, 2):
            return source
        if layer.name == "Embedding":
            return _Tensor([*source.axes[:2], None], certain=source.certain)
        if layer.name in _IMAGES and source.axes[0] is not None:
            axis = source.axes[0]
            axis.batch = axis.batch or Evidence(text_of(expr), expr.at[0] if expr.at else 0)
            return _Tensor([axis, Axis(), Axis()], certain=True)
        if layer.name == "Sequential" and layer.complete:
            for child in layer.children:
                source = self.applied(child, [source], {}, expr) if isinstance(child, Layer) else None
                if not isinstance(source, _Tensor):
                    return None
            return source
        return None

    def sequence(self, layer: Layer, source: _Tensor, given: list[Any], expr: code.Call) -> Any:
        states = given[1] if len(given) > 1 else None
        fed = source
        if layer.name in RECURRENT:
            for state in states if isinstance(states, list) else [states]:
                if isinstance(state, _Tensor) and state.made:
                    self.counted(state.axes[1], source, expr)
        elif isinstance(states, _Tensor):
            # The keys, or the memory: the query may be made by the code itself.
            if source.made and layer.name == "MultiheadAttention":
                self.counted(source.axes[0], states, expr)
            fed = states if source.made else source
        one, two = fed.axes[:2]
        if one is None or two is None or fed.made:
            return None
        self.uses.append(Use(layer, one, two))
        output = _Tensor([one, two, None], sequence=True, certain=fed.certain)
        return [output, None] if layer.name in RECURRENT or layer.name == "MultiheadAttention" else output

    def counted(self, size: Axis | None, source: _Tensor, expr: code.Call) -> None:
        """Something has one row for each sample: its size is that of the batch."""
        if size is not None and any(size is axis for axis in source.axes[:2]):
            size.batch = size.batch or Evidence(text_of(expr), expr.at[0] if expr.at else 0)


def _read(module: Value, rows: Axis) -> _Reader | None:
    """A module's forward, read with `rows` as the first axis of its first input."""
    batch = _Tensor([rows, Axis(), Axis()])
    if isinstance(module, Layer):
        reader = _Reader({}, {})
        reader.applied(module, [batch], {}, code.Call(code.Name("", None), [], None))
        return reader
    method = _forward(module) if isinstance(module, Instance) else None
    if not isinstance(module, Instance) or method is None or len(method.parameters) < 2:
        return None
    names: dict[str, Any] = {p.name: _Tensor([Axis(), Axis(), Axis()]) for p in method.parameters[1:] if not p.star}
    reader = _Reader(module.attributes, {**names, method.parameters[1].name: batch})
    reader.block(method.body)
    return reader


def single_norm(module: Value) -> Layer | None:
    """The first batch-norm of a module that normalises over the rows of its first input alone, one value a row."""
    rows = Axis()
    reader = _read(module, rows)
    return next((norm for norm, axis in reader.norms if axis is rows), None) if reader is not None else None


@dataclass(frozen=True, eq=False)
class Mismatch:
    """A layer whose batch axis is the one that the code takes for time, or the reverse."""

    layer: Layer
    batch_first: bool
    evidence: Evidence


def mismatches(facts: TrainingFacts) -> Iterator[Mismatch]:
    """Every recurrent or attention layer that is fed the other way round, by its module's own code or by a loader."""
    readers = [_read(module.instance, Axis()) for module in facts.modules]
    readers.extend(_loaded(facts))
    for reader in readers:
        for use in reader.uses if reader is not None else ():
            known = _batch_first(use.layer)
            batch, time = (use.first, use.second) if known else (use.second, use.first)
            against = batch.time or time.batch
            if known is not None and against is not None and batch.batch is None and time.time is None:
                yield Mismatch(use.layer, known, against)


def _loaded(facts: TrainingFacts) -> Iterator[_Reader | None]:
    """The modules that get a loader's batches as they are: the first axis is the batch."""
    for found in training_loaders(facts):
        if found.loop is not None and small_batches.stacks_rows(found):
            for forward in small_batches.whole_batches(facts, found.loop):
                evidence = Evidence(f"for … in {found.loop.hint}", found.loop.place.at[0])
                yield _read(forward.module, Axis(batch=evidence))


def _forward(module: Instance) -> code.Function | None:
    hit = module.cls.find("forward")
    method = hit[0].node if hit is not None and isinstance(hit[0], FunctionValue) else None
    return method if isinstance(method, code.Function) else None


def _one_position(layer: Layer, place: int) -> bool:
    """Whether an adaptive pool leaves, or a convolution looks at, one position."""
    given = layer.argument(place, "kernel_size" if layer.name in CONVOLUTIONS else "output_size")
    sizes = given.items if isinstance(given, Collection) else [given]
    return all(integer(size) == 1 for size in sizes)


def _batch_first(layer: Layer) -> bool | None:
    """The layer's setting, False where it is left at its default; None where it is not known."""
    if layer.name in ("TransformerEncoder", "TransformerDecoder"):
        inner = layer.argument(0, "encoder_layer" if layer.name.endswith("Encoder") else "decoder_layer")
        return _batch_first(inner) if isinstance(inner, Layer) else None
    given = layer.argument(_FLAG_AT[layer.name], "batch_first")
    if "**" in layer.keywords:
        return None
    if given is None:
        return False
    found = constant(given) if isinstance(given, Constant) and not given.default else None
    return found if isinstance(found, bool) else None


def written(layer: Layer) -> Layer:
    """The layer that the setting is written at: a Transformer stack takes it from the layer it repeats."""
    inner = layer.argument(0, "encoder_layer" if layer.name.endswith("Encoder") else "decoder_layer")
    return inner if layer.name in ("TransformerEncoder", "TransformerDecoder") and isinstance(inner, Layer) else layer


def _whole(expr: Any) -> int | None:
    """The whole number that an expression writes out."""
    if isinstance(expr, code.Unary) and expr.op == "-":
        found = _whole(expr.value)
        return -found if found is not None else None
    value = expr.value if isinstance(expr, code.Literal) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _everything(expr: Any) -> bool:
    return isinstance(expr, code.Slice) and expr.lower is None and expr.upper is None and expr.step is None


def _spelled(expr: code.Subscript) -> str:
    index = [":" if isinstance(part, code.Slice) else text_of(part).replace("- ", "-") for part in expr.index]
    return f"{text_of(expr.base)}[{', '.join(index)}]"
