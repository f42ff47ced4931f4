"""Which tensors surely are float16, and the constants that meet them although float16 cannot hold them."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from gradlint.facts.interpret import modules
from gradlint.facts.model import HalfConstant
from gradlint.facts.values import (
    Collection,
    Constant,
    External,
    Place,
    Tensor,
    Unknown,
    Value,
    constant,
    number,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

HALF, NUMBER = "float16", "number"
LARGEST = 65504.0
SMALLEST = 2.0**-25
"""Half of the smallest positive float16: what is not above it is rounded to zero."""

_DTYPES = {
    "half": HALF, "float16": HALF, "HalfTensor": HALF, "float": "float32", "float32": "float32", "double": "float64",
    "float64": "float64", "bfloat16": "bfloat16", "FloatTensor": "float32", "long": "int64", "int64": "int64",
    "bool": "bool", "int": "int32",
}  # fmt: skip
_CAST = frozenset({"half", "float", "double", "bfloat16", "to", "type", "type_as"})
# What autocast runs in the lower precision, and what in float32 (torch.amp, "Autocast Op Reference").
_PRODUCTS = frozenset({
    "@", "matmul", "mm", "bmm", "mv", "einsum", "addmm", "addbmm", "baddbmm", "linear", "conv1d", "conv2d", "conv3d",
    "scaled_dot_product_attention", "chain_matmul", "prelu",
})  # fmt: skip
_PRECISE = frozenset({
    "acos", "asin", "cosh", "cumprod", "cumsum", "dist", "erfinv", "exp", "expm1", "log", "log10", "log1p", "log2",
    "log_softmax", "norm", "pow", "**", "prod", "reciprocal", "rsqrt", "sinh", "softmax", "softmin", "softplus", "sum",
    "tan", "layer_norm", "group_norm", "normalize", "cosine_similarity", "pdist", "cdist", "renorm", "logsumexp",
})  # fmt: skip
_KEEPS = frozenset({
    "masked_fill", "clamp", "clamp_min", "clamp_max", "full_like", "zeros_like", "ones_like", "dropout",
})  # fmt: skip
_COUNTS = frozenset({"size", "dim", "numel"})
_OTHERS = frozenset({
    "eq", "ne", "gt", "lt", "ge", "le", "isnan", "isinf", "isfinite", "argmax", "argmin", "long", "int", "bool", "byte",
    "short", "one_hot", "item", "tolist", "numpy",
})  # fmt: skip
_ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%", "**", "neg"})
_FILLS = frozenset({"masked_fill", "full_like", "fill", "new_full"})
_GUARDS = frozenset({"+", "add", "clamp", "clamp_min", "maximum"})
_GROWS = frozenset({"+", "-", "*", "add", "sub", "mul"})


def dtype_of(value: Value | None) -> str:
    """The element type of a tensor, `number` for what surely is a plain number; empty where it is unknown."""
    if isinstance(value, Constant):
        return NUMBER
    return value.dtype if isinstance(value, (Tensor, Unknown)) else ""


def named(value: Value | None) -> str:
    """The element type that `torch.float16` or `"torch.HalfTensor"` names."""
    text = value.name if isinstance(value, External) else constant(value)
    return _DTYPES.get(text.rpartition(".")[2], "") if isinstance(text, str) and "torch" in text else ""


def autocast(name: str, arguments: list[Value], keywords: dict[str, Value]) -> str:
    """The precision of an autocast region: float16 where that is certain."""
    plain = name.startswith(("torch.autocast", "torch.amp."))
    given = keywords.get("dtype", arguments[1] if len(arguments) > 1 else None)
    position = 2 if plain else 0
    enabled = keywords.get("enabled", arguments[position] if len(arguments) > position else None)
    if isinstance(enabled, Constant) and not enabled.value:
        return ""
    if given is not None:
        return named(given)
    device = constant(keywords.get("device_type", arguments[0] if arguments else None)) if plain else ""
    return HALF if device == "cuda" or ".cuda." in name else ""


def cast_module(it: Interpreter, module: Value, name: str, arguments: list[Value], keywords: dict[str, Value]) -> None:
    """`model.half()`, `model.to(torch.float16)`: from here on its layers give float16."""
    given = [named(value) for value in (*arguments, *keywords.values())]
    wanted = _DTYPES.get(name, "") or next((found for found in given if found), "")
    if not wanted:
        return
    parts = {id(part) for part in modules.walk(module)}
    it.halves = it.halves | parts if wanted == HALF and not it.branches else it.halves - parts


def layered(it: Interpreter, kind: str, layer: Value) -> str:
    """The element type of what a layer gives."""
    if id(layer) in it.halves:
        return HALF
    return it.casting if kind in ("linear", "conv", "recurrent") else ""


def converted(
    it: Interpreter, before: Value, after: Value, name: str, arguments: list[Value], keywords: dict[str, Value]
) -> Value:
    """`tensor.half()`, `tensor.to(torch.float16)`; something unseen gets a likeness of its own."""
    if name not in _CAST or not isinstance(after, (Tensor, Unknown)):
        return after
    given = [named(value) for value in (*arguments, *keywords.values())]
    wanted = _DTYPES.get(name, "") or next((found for found in given if found), "")
    if name == "type_as" or (name == "to" and not wanted and any(isinstance(v, Tensor) for v in arguments)):
        wanted = dtype_of(arguments[0]) if arguments else ""
    elif not wanted and all(_device(value) for value in (*arguments, *keywords.values())):
        return after
    if isinstance(after, Unknown) and after is before and wanted != after.dtype:
        after = Unknown(after.hint, after.origin, after.uses, after.touched, after.parts, after.graph, after.formula)
        if id(before) in it.births:
            it.births[id(after)] = it.births[id(before)]
        it.kept.append(after)
    after.dtype = wanted
    return after


def _device(value: Value) -> bool:
    text = constant(value)
    return isinstance(text, (str, bool, int)) or (isinstance(value, Unknown) and "dev" in value.hint)


def operation(
    it: Interpreter, op: str, sources: list[Value], result: Value, place: Place, keywords: dict[str, Value]
) -> None:
    """Note the element type of a result, and a constant among the sources that float16 cannot hold."""
    op = op.rstrip("_")
    if HALF in map(dtype_of, sources):
        _judge(it, op, sources, keywords, place)
    if isinstance(result, Collection) and result.items:
        result = result.items[0]
    if isinstance(result, (Tensor, Unknown)) and not result.dtype and result not in sources:
        result.dtype = _result(it, op, sources, keywords)


def _result(it: Interpreter, op: str, sources: list[Value], keywords: dict[str, Value]) -> str:
    if "dtype" in keywords:
        return named(keywords["dtype"])
    if op in _COUNTS or op in _OTHERS:
        return NUMBER if op in _COUNTS else ""
    if it.casting and op in _PRODUCTS:
        return it.casting
    if it.casting == HALF and op in _PRECISE:
        return "float32"
    if op in _KEEPS:
        return dtype_of(sources[0]) if sources else ""
    given = sources[1:] if op == "where" else sources
    kinds = {dtype_of(source) for source in given if not isinstance(source, Collection)}
    if kinds == {NUMBER}:
        return NUMBER if op in _ARITHMETIC else ""
    kinds.discard(NUMBER)
    return kinds.pop() if len(kinds) == 1 else ""


def outside(name: str, result: Value) -> None:
    """What Python and its `math` give is a plain number."""
    if isinstance(result, Unknown) and (name.startswith("math.") or name in ("len", "int", "float")):
        result.dtype = NUMBER


def _judge(it: Interpreter, op: str, sources: list[Value], keywords: dict[str, Value], place: Place) -> None:
    given = [*sources, *(keywords[key] for key in ("value", "fill_value", "min", "other") if key in keywords)]
    fills, tensors = op in _FILLS, sources[1:3] if op == "where" else sources
    if fills:
        tensors = sources[:1]
    if any(dtype_of(source) not in (HALF, NUMBER) for source in tensors):
        return
    for size in map(number, given):
        if size is None or isinf(size) or size == 0:
            continue
        large = abs(size) > LARGEST and (fills or op == "where" or op in _GROWS)
        small = abs(size) <= SMALLEST and op in _GUARDS
        if (large or small) and it.once("half constant", place):
            it.facts.half_constants.append(HalfConstant(size, op, place, it.frame.function))
