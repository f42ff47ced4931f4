"""What each operation does to the shape of its operands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code, shapes
from gradlint.facts.interpret import precision
from gradlint.facts.model import Broadcast
from gradlint.facts.shapes import Shape
from gradlint.facts.torch_names import FUNCTIONAL_ACTIVATIONS
from gradlint.facts.values import (
    Collection,
    Constant,
    Form,
    Layer,
    Place,
    Tensor,
    Unknown,
    Value,
    constant,
    integer,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_SIZED = frozenset({"zeros", "ones", "rand", "randn", "empty"})
_SAME = (FUNCTIONAL_ACTIVATIONS - {"glu"}) | {
    "sin", "cos", "tan", "exp", "log", "log1p", "sqrt", "abs", "square", "neg", "clamp", "dropout", "detach", "clone",
    "float", "double", "half", "to", "cuda", "cpu", "contiguous", "type", "bfloat16", "**", "pow", "cumsum", "long",
    "sign", "round", "floor", "ceil", "requires_grad_", "zeros_like", "ones_like", "rand_like", "randn_like",
    "full_like", "as_tensor", "tensor", "from_numpy", "FloatTensor", "values", "to_numpy", "astype", "numpy", "copy",
    "masked_fill", "tanh", "sigmoid", "normalize", "expm1", "logical_not", "pin_memory", "squared", "flip", "roll",
}  # fmt: skip
_REDUCE = frozenset({
    "sum", "mean", "max", "min", "amax", "amin", "argmax", "argmin", "prod", "std", "var", "norm", "median",
    "logsumexp",
})  # fmt: skip
_RESHAPING_IN_PLACE = frozenset({"unsqueeze_", "squeeze_", "t_", "transpose_", "resize_", "swapaxes_", "set_"})
_CROSSING = {"-": "-", "sub": "-", "+": "+", "add": "+", "*": "*", "mul": "*"}
_BINARY = frozenset({"+", "-", "*", "/", "add", "sub", "mul", "div", "maximum", "minimum"})


def shape_of(value: Value | None) -> Shape | None:
    """The shape of a value, or None."""
    if isinstance(value, Constant):
        return Shape(())
    return value.shape if isinstance(value, (Tensor, Unknown)) else None


def operation(
    it: Interpreter, op: str, sources: list[Value], result: Value, place: Place, keywords: dict[str, Value]
) -> None:
    """Note the shape of `op(*sources)`, and a column that is broadcast against a row."""
    if isinstance(result, Collection) and result.items:
        for item in result.items:
            operation(it, op, sources, item, place, keywords)
        return
    if not isinstance(result, (Tensor, Unknown)):
        return
    if op in ("gather", "scatter") and len(sources) > 1:
        _learn(sources[0], keywords.get("dim", sources[1]))
    first = sources[0] if sources else None
    if op in _RESHAPING_IN_PLACE and isinstance(first, (Tensor, Unknown)):
        first.shape = _shape(op[:-1], sources, keywords)
    if result in sources:
        return
    result.shape = _shape(op, sources, keywords)
    if op in _CROSSING and len(sources) == 2:
        _note(it, op, sources, result, place)


def _note(it: Interpreter, op: str, sources: list[Value], result: Value, place: Place) -> None:
    left, right = map(shape_of, sources[:2])
    if not isinstance(result, Tensor) or left is None or right is None or not shapes.crossed(left, right):
        return
    attached = [source for source in sources if isinstance(source, Tensor) and source.roots]
    compared = op in ("-", "sub") and len(attached) == 1 and not attached[0].parameter
    if (compared or not attached) and it.once("broadcast", place, tuple(it.repeats)):
        it.facts.broadcasts.append(Broadcast(_CROSSING[op], left, right, result, place))


def _learn(value: Value, dim: Value) -> None:
    """`x.gather(1, …)`: there are at least two dimensions."""
    found = integer(dim)
    shape = shape_of(value)
    if found is None or found < 1 or not isinstance(value, (Tensor, Unknown)):
        return
    if shape is None or (shape.open and len(shape.sizes) <= found):
        sizes = shape.sizes if shape is not None else ()
        value.shape = Shape((None,) * (found + 1 - len(sizes)) + sizes, True, shape is not None and shape.batched)


def _shape(op: str, sources: list[Value], keywords: dict[str, Value]) -> Shape | None:
    first = shape_of(sources[0]) if sources else None
    rest = sources[1:]
    if op in _SIZED:
        return Shape(sizes) if (sizes := _sizes(sources or [keywords.get("size", Unknown())])) is not None else None
    if op in ("randint", "full"):
        given = keywords.get("size", next((s for s in sources if isinstance(s, Collection)), None))
        return Shape(sizes) if given is not None and (sizes := _sizes([given])) is not None else None
    if op == "randperm":
        return Shape((integer(sources[0]) if sources else None,))
    if op in ("bmm", "baddbmm"):
        return Shape((None, None, None), batched=any(s.batched for s in map(shape_of, sources[:2]) if s is not None))
    if op in ("linspace", "arange", "logspace"):
        return Shape((integer(sources[2]) if op == "linspace" and len(sources) > 2 else None,))
    if op == "eye":
        return Shape((integer(sources[0]),) * 2) if len(sources) == 1 else None
    if op in ("tensor", "as_tensor", "FloatTensor") and sources and isinstance(sources[0], Collection):
        return listed(sources[0])
    if op in ("tensor", "as_tensor") and sources and precision.dtype_of(sources[0]) == precision.NUMBER:
        return Shape(())
    if op in _SAME:
        return first
    pairwise = op in ("max", "min") and len(sources) == 2 and isinstance(sources[1], Tensor)
    if (op in _BINARY or pairwise) and len(sources) == 2:
        second = shape_of(sources[1])
        return _numbers(sources[0], second) or _numbers(sources[1], first) or _both(first, second)
    if op in ("view", "reshape"):
        sizes = _sizes(rest)
        return Shape(sizes) if sizes is not None else None
    if op in ("flatten", "ravel"):
        end = keywords.get("end_dim", rest[1] if len(rest) > 1 else Constant(-1))
        if integer(end) != -1:
            return _merged(first, integer(keywords.get("start_dim", rest[0] if rest else Constant(0))), integer(end))
        return _flattened(first, integer(keywords.get("start_dim", rest[0] if rest else Constant(0))))
    if first is None:
        return None
    if op in _REDUCE:
        return _reduced(first, rest, keywords)
    dims = [integer(value) for value in rest[:2]]
    if op in ("squeeze", "unsqueeze"):
        dim = integer(keywords["dim"]) if "dim" in keywords else (dims[0] if dims else None)
        if op == "unsqueeze":
            return shapes.inserted(first, dim) if dim is not None else None
        return _squeezed(first, dim) if rest or keywords else shapes.squeezed(first)
    if op in ("t", "T") and len(first.sizes) == 2:
        return shapes.swapped(first, 0, 1)
    if op == "transpose" and len(dims) == 2 and None not in dims:
        return shapes.swapped(first, dims[0] or 0, dims[1] or 0)
    return None


def _flattened(first: Shape | None, start: int | None) -> Shape | None:
    if start == 1:
        front = first.sizes[0] if first is not None and first.sizes and not first.open else None
        return Shape((front, None), batched=first is not None and first.batched)
    return Shape((None,)) if start == 0 else None


def _merged(first: Shape | None, start: int | None, end: int | None) -> Shape | None:
    """The shape after `flatten(start, end)`: of an open one the last dimension, where the first are merged."""
    if first is None or start is None or end is None or min(start, end) < 0:
        return None
    if first.open:
        return Shape(first.sizes[-1:], True) if start == 0 and end == 1 and first.sizes else None
    return Shape((*first.sizes[:start], None, *first.sizes[end + 1 :]), batched=first.batched and start > 0)


def _numbers(value: Value, other: Shape | None) -> Shape | None:
    """`other`, where the first operand is a plain number."""
    return other if precision.dtype_of(value) == precision.NUMBER else None


def turned(form: Form | None, name: str, arguments: list[Value]) -> Form | None:
    """A form whose dimension was moved by `permute` or `transpose`; without it where nobody knows where to."""
    if form is None or form.dim is None or name not in ("permute", "transpose", "swapaxes"):
        return form
    given = arguments[0].items if len(arguments) == 1 and isinstance(arguments[0], Collection) else arguments
    order = [integer(value) for value in given]
    if None in order or not order:
        return form._replace(dim=None)
    if name == "permute":
        places = [place % len(order) for place in order if place is not None]
        dim = form.dim % len(order)
        return form._replace(dim=places.index(dim) if dim in places else None)
    pair = [place for place in order if place is not None]
    if len(pair) != 2 or min(*pair, form.dim) < 0:
        return form._replace(dim=None)
    return form._replace(dim=pair[1 - pair.index(form.dim)] if form.dim in pair else form.dim)


def _both(first: Shape | None, second: Shape | None) -> Shape | None:
    return shapes.broadcast(first, second) if first is not None and second is not None else None


def _squeezed(shape: Shape, dim: int | None) -> Shape | None:
    place = shape.where(dim) if dim is not None else None
    if place is None or shape.sizes[place] is None:
        return shapes.BATCH if shape.batched and dim is not None and dim > 0 else None
    return shapes.without(shape, dim or 0) if shape.sizes[place] == 1 else shape


def _reduced(first: Shape, rest: list[Value], keywords: dict[str, Value]) -> Shape | None:
    given = keywords.get("dim", keywords.get("axis", rest[0] if rest else None))
    if given is None:
        return Shape(())
    dim = integer(given)
    keep = keywords.get("keepdim", rest[1] if len(rest) > 1 else Constant(False))
    if dim is None or not isinstance(keep, Constant):
        return None
    return shapes.without(first, dim, bool(keep.value))


def _sizes(given: list[Value]) -> tuple[int | None, ...] | None:
    """The sizes that `view(-1, n)` or `zeros((a, b))` names; None where their number cannot be told."""
    if len(given) == 1 and isinstance(given[0], Collection):
        if given[0].open:
            return None
        given = given[0].items
    elif len(given) == 1 and not isinstance(given[0], Constant):
        return None
    if not given or any(isinstance(value, Collection) for value in given):
        return None
    numbers = [integer(value) for value in given]
    return tuple(number if number is not None and number >= 0 else None for number in numbers)


def listed(value: Collection) -> Shape | None:
    """The shape of a nested list of numbers."""
    size = None if value.open else len(value.items)
    if not value.items:
        return None
    inner = [listed(item) if isinstance(item, Collection) else shape_of(item) for item in value.items[:4]]
    if inner[0] is None or any(shape != inner[0] for shape in inner):
        return None
    return Shape((size, *inner[0].sizes)) if not inner[0].open else None


def annotated(annotation: object) -> Shape | None:
    """`list[float]` is one-dimensional."""
    if not isinstance(annotation, code.Subscript) or len(annotation.index) != 1:
        return None
    outer, inner = annotation.base, annotation.index[0]
    lists = isinstance(outer, code.Name) and outer.name in ("list", "List", "Sequence")
    return Shape((None,)) if lists and isinstance(inner, code.Name) and inner.name in ("float", "int") else None


def indexed(shape: Shape | None, keys: list[Value], written: list[code.Expr]) -> Shape | None:
    """The shape of `tensor[keys]`, where `written` is how the code writes the keys."""
    if shape is None or not keys:
        return None
    texts = [isinstance(expr, code.Slice) for expr in written]
    current: Shape | None = shape
    ellipsis = [i for i, key in enumerate(keys) if _dots(written[i])]
    if ellipsis == [0] and len(keys) == 2:
        return _keyed(shape, -1, keys[1], texts[1])
    if shape.open or ellipsis:
        return None
    if len(keys) - sum(texts) == 1 and (row := _picked(shape, keys, texts)) is not None:
        return row
    position = 0
    for key, is_slice in zip(keys, texts, strict=True):
        if current is None:
            return None
        before = len(current.sizes)
        if position > before:
            return None
        if is_slice:
            if position >= before:
                return None
            sizes = list(current.sizes)
            sizes[position] = sizes[position] if _whole(written[position]) else None
            current = Shape(tuple(sizes), batched=current.batched)
            position += 1
            continue
        current = _keyed(current, position, key, False)
        position += 1 if current is not None and len(current.sizes) > before else 0
    return current


def _picked(shape: Shape, keys: list[Value], slices: list[bool]) -> Shape | None:
    """Entries picked along one dimension by a row of indices or a mask; slices stand at the others."""
    place = slices.index(False)
    key = keys[place]
    rows = shape_of(key) if isinstance(key, (Tensor, Unknown)) else None
    if rows is None or rows.open or len(rows.sizes) != 1 or place >= len(shape.sizes) or len(keys) > len(shape.sizes):
        return None
    masked = isinstance(key, (Tensor, Unknown)) and key.dtype == "bool"
    sizes = [None if i < len(keys) and slices[i] else size for i, size in enumerate(shape.sizes)]
    sizes[place] = None if masked else rows.sizes[0]
    return Shape(tuple(sizes), batched=shape.batched and place == 0)


def _whole(expr: code.Expr) -> bool:
    return isinstance(expr, code.Slice) and expr.lower is None and expr.upper is None and expr.step is None


def _dots(expr: code.Expr) -> bool:
    return isinstance(expr, code.Other) and expr.kind == "ellipsis"


def _keyed(shape: Shape, position: int, key: Value, is_slice: bool) -> Shape | None:
    if is_slice:
        return shape
    if isinstance(key, Constant) and key.value is None:
        return shapes.inserted(shape, position)
    if integer(key) is not None or precision.dtype_of(key) == precision.NUMBER:
        return shapes.without(shape, position)
    return None


def layered(kind: str, layer: Value, source: Value | None) -> Shape | None:
    """The shape of what a layer gives."""
    given = shape_of(source)
    if not isinstance(layer, Layer):
        return None
    if kind == "linear":
        out = integer(layer.argument(1, "out_features"))
        if given is None or not given.sizes:
            return Shape((out,), True, given is not None and given.batched)
        return Shape((*given.sizes[:-1], out), given.open, given.batched)
    if kind == "conv":
        out, spatial = integer(layer.argument(1, "out_channels")), int(layer.name[-2])
        batched = given is not None and (given.batched or (not given.open and len(given.sizes) == spatial + 2))
        return Shape((out, *(None,) * spatial), True, batched)
    if kind == "embedding" and given is not None and layer.name == "Embedding":
        return Shape((*given.sizes, integer(layer.argument(1, "embedding_dim"))), given.open, given.batched)
    return given if kind in ("norm", "dropout") else None


def plain(kind: str, name: str, module: Layer, source: Value) -> Shape | None:
    """The shape of what a layer without parameters gives."""
    given = shape_of(source)
    if name == "Flatten":
        start = module.argument(0, "start_dim") or Constant(1)
        return _shape("flatten", [source, start], {})
    return given if kind == "dropout" or name == "Identity" else None


def apart(it: Interpreter, value: Unknown, name: str) -> Unknown:
    """Something unseen whose shape an operation changes becomes a likeness of its own."""
    if value.shape is None or name in _SAME:
        return value
    after = Unknown(value.hint, value.origin, value.uses, value.touched, value.parts, value.graph, value.formula)
    after.dtype = value.dtype
    if id(value) in it.births:
        it.births[id(after)] = it.births[id(value)]
    it.kept.append(after)
    return after


def outside(name: str, arguments: list[Value], keywords: dict[str, Value], result: Value) -> None:
    """A table that pandas reads has rows and columns; numpy makes arrays of the sizes it is given."""
    if not isinstance(result, Unknown):
        return
    if name.startswith("pandas.read_") or name == "pandas.DataFrame":
        result.shape = Shape((None, None))
    elif name.startswith("numpy."):
        result.shape = _array(name.removeprefix("numpy."), arguments, keywords)


_ARRAYS = {"zeros": 0, "ones": 0, "empty": 0, "full": 0, "random.randint": 2, "random.choice": 1}
"""Functions of numpy that make an array, and where its size stands among the arguments."""


def _array(function: str, arguments: list[Value], keywords: dict[str, Value]) -> Shape | None:
    if function in ("arange", "linspace"):
        return Shape((None,))
    if function == "random.permutation":
        first = arguments[0] if arguments else None
        return Shape((integer(first),)) if _counts(first) else shape_of(first)
    if function in ("random.rand", "random.randn"):
        return Shape(tuple(map(integer, arguments))) if arguments and all(map(_counts, arguments)) else None
    if function not in _ARRAYS:
        return None
    place = _ARRAYS[function]
    given = keywords.get("size", keywords.get("shape", arguments[place] if place < len(arguments) else None))
    if _counts(given):
        return Shape((integer(given),))
    sizes = _sizes([given]) if isinstance(given, Collection) else None
    return Shape(sizes) if sizes is not None else None


def _counts(value: Value | None) -> bool:
    """Whether a value surely is one number."""
    return integer(value) is not None or (
        isinstance(value, (Tensor, Unknown)) and precision.dtype_of(value) == precision.NUMBER
    )


def unseen(shape: Shape | None, keys: list[Value], written: list[code.Expr]) -> Shape | None:
    """The shape of an item of something unseen: a column of a table, some entries of a tensor."""
    if shape is not None and len(keys) == 1 and len(shape.sizes) == 2:
        if isinstance(constant(keys[0]), str):
            return Shape(shape.sizes[:1])
        if isinstance(keys[0], Collection):
            return Shape((shape.sizes[0], None))
    return indexed(shape, keys, written)
