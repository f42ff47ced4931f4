"""Keeps the formula of numbers: what each function does to the bounds of its arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from gradlint.facts import formulas
from gradlint.facts.formulas import (
    BIT,
    COSINE,
    EVERYTHING,
    NON_NEGATIVE,
    POSITIVE,
    UNIT,
    UNKNOWN,
    Formula,
    Interval,
    absolute,
    added,
    clamped,
    divided,
    exponential,
    hull,
    logarithm,
    multiplied,
    negated,
    raised,
    summed,
)  # fmt: skip
from gradlint.facts.interpret import precision, shaping
from gradlint.facts.model import Calculation
from gradlint.facts.values import Choice, Collection, Constant, Place, Tensor, Unknown, Value, number

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def _same(a: Interval) -> Interval:
    return a


_FIXED: dict[str, Interval] = {
    "sigmoid": UNIT, "softmax": UNIT, "softmin": UNIT, "gumbel_softmax": BIT, "tanh": Interval(-1.0, 1.0, True, True),
    "erf": Interval(-1.0, 1.0, True, True),
    "hardtanh": COSINE, "hardsigmoid": BIT, "softsign": Interval(-1.0, 1.0, True, True), "softplus": POSITIVE,
    "log_softmax": Interval(-inf, 0.0), "logsigmoid": Interval(-inf, 0.0, open_high=True), "relu6": Interval(0.0, 6.0),
    "elu": EVERYTHING, "gelu": EVERYTHING, "silu": EVERYTHING, "mish": EVERYTHING, "leaky_relu": EVERYTHING,
    "prelu": EVERYTHING,
    "std": NON_NEGATIVE, "var": NON_NEGATIVE, "norm": NON_NEGATIVE, "vector_norm": NON_NEGATIVE,
    "matrix_norm": NON_NEGATIVE,
    "cdist": NON_NEGATIVE, "pairwise_distance": NON_NEGATIVE, "dist": NON_NEGATIVE, "bincount": NON_NEGATIVE,
    "cosine_similarity": COSINE, "normalize": COSINE, "sin": COSINE, "cos": COSINE, "sign": COSINE,
    "rand": BIT,
    "rand_like": BIT, "zeros": Interval(0.0, 0.0), "zeros_like": Interval(0.0, 0.0), "ones": Interval(1.0, 1.0),
    "ones_like": Interval(1.0, 1.0), "eq": BIT, "ne": BIT, "gt": BIT, "lt": BIT, "ge": BIT, "le": BIT, "isnan": BIT,
    "logical_and": BIT, "logical_or": BIT, "logical_not": BIT, "one_hot": BIT, "acos": Interval(0.0, 3.1416),
    "asin": UNKNOWN,
    "randn": EVERYTHING, "randn_like": EVERYTHING, "stft": EVERYTHING,
}  # fmt: skip
_UNARY: dict[str, Callable[[Interval], Interval]] = {
    "relu": lambda a: clamped(a, 0.0, None), "abs": absolute, "exp": exponential, "log": logarithm, "log2": logarithm,
    "log10": logarithm, "sqrt": lambda a: raised(a, 0.5) if a.known else NON_NEGATIVE, "square": lambda a: raised(a,
    2.0),
    "neg": negated, "sum": summed, "nansum": summed, "cumsum": summed, "log1p": lambda a: logarithm(added(a,
    Interval(1.0, 1.0))),
    "rsqrt": lambda a: POSITIVE, "reciprocal": lambda a: divided(Interval(1.0, 1.0), a),
    "expm1": lambda a: Interval(-1.0, open_low=True),
    "mean": _same, "max": _same, "min": _same, "amax": _same, "amin": _same, "median": _same, "nanmean": _same,
    "diag": _same,
    "diagonal": _same, "gather": _same, "masked_select": _same, "topk": _same, "sort": _same, "tril": _same,
    "triu": _same,
    "prod": lambda a: summed(a) if a.non_negative else UNKNOWN, "dropout": summed, "logsumexp": lambda a: UNKNOWN,
    "cummax": _same, "detach": _same, "float": _same, "double": _same, "clone": _same,
}  # fmt: skip
_IDENTITY = frozenset({"detach", "float", "double", "clone", "contiguous"})
_BINARY: dict[str, Callable[[Interval, Interval], Interval]] = {
    "+": added, "-": lambda a, b: added(a, negated(b)), "*": multiplied, "/": divided,
    "maximum": lambda a, b: _greater(a, b), "minimum": lambda a, b: negated(_greater(negated(a), negated(b))),
}  # fmt: skip
_OPERATORS = {
    "add": "+", "sub": "-", "subtract": "-", "mul": "*", "multiply": "*", "div": "/", "true_divide": "/", "divide": "/",
    "matmul": "@", "mm": "@", "bmm": "@", "pow": "**", "arccos": "acos", "arcsin": "asin", "clip": "clamp",
    "absolute": "abs",
    "negative": "neg", "dropout1d": "dropout", "dropout2d": "dropout", "dropout3d": "dropout",
    "feature_alpha_dropout": "dropout",
    "concat": "cat", "concatenate": "cat", "hstack": "cat", "vstack": "cat", "stack": "cat",
}  # fmt: skip
_LOSS_NAMES = re.compile(r"loss|criterion|objective|penalt|divergence|regulari[sz]|nll|energy", re.IGNORECASE)
_NOTED = frozenset({
    "log", "log2", "log10", "sqrt", "/", "**", "acos", "asin", "where", "rsqrt", "softmax", "log_softmax",
})  # fmt: skip
"""Steps that a check may ask about."""
MASKS = frozenset({"compare", "eq", "ne", "gt", "lt", "ge", "le", "isnan", "logical_and", "logical_or", "logical_not"})
DISTANCES = frozenset({"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"})


def _greater(a: Interval, b: Interval) -> Interval:
    if not a.known and not b.known:
        return UNKNOWN
    if not a.known or not b.known:
        seen = a if a.known else b
        return Interval(seen.low, inf, seen.open_low) if seen.low > -inf else UNKNOWN
    low = max(a.low, b.low)
    closed = (a.low == low and not a.open_low) or (b.low == low and not b.open_low)
    return Interval(low, max(a.high, b.high), not closed)


def formula_of(value: Value | None) -> Formula:
    """The formula of a value; a leaf where nothing was computed in sight."""
    if isinstance(value, Constant):
        found = number(value)
        return formulas.constant(found) if found is not None else Formula("leaf", (), UNKNOWN, value=value)
    if isinstance(value, (Tensor, Unknown)):
        if value.formula is None:
            value.formula = Formula("leaf", (), UNKNOWN, value.place if isinstance(value, Tensor) else None, value)
        return value.formula
    if isinstance(value, Choice):
        joined = formulas.joined([formula_of(option) for option in value.options])
        return joined if joined is not None else Formula("leaf", (), UNKNOWN, value=value)
    return Formula("leaf", (), UNKNOWN, value=value)


def set_formula(result: Value, formula: Formula) -> None:
    """Remember how a result was computed."""
    if isinstance(result, (Tensor, Unknown)):
        result.formula = formula
        if formula.value is None:
            formula.value = result


def operation(
    it: Interpreter,
    op: str,
    sources: list[Value],
    result: Value,
    place: Place,
    keywords: dict[str, Value] | None = None,
) -> None:
    """Note `result = op(*sources)` where the operation is known; in place, the first source becomes the result."""
    precision.operation(it, op, sources, result, place, keywords or {})
    shaping.operation(it, op, sources, result, place, keywords or {})
    in_place = op.endswith("_") and not op.startswith("_")
    op = op.rstrip("_") if in_place else op
    op = _OPERATORS.get(op, op)
    target = (
        result.items[0]
        if isinstance(result, Collection) and result.items and op in ("max", "min", "topk", "sort", "median")
        else result
    )
    if not isinstance(target, (Tensor, Unknown)) or (not in_place and target in sources):
        return
    made = _formula(op, sources, keywords or {}, place)
    if made is None:
        return
    set_formula(target, made)
    if in_place and sources and isinstance(sources[0], (Tensor, Unknown)):
        sources[0].formula = made
    if made.op in _NOTED or _weighs(made):
        _note(it, made, target, place)


def item(whole: Value, part: Value) -> None:
    """`part` is some of the entries of `whole`: its bounds hold, but two parts differ."""
    if isinstance(whole, (Tensor, Unknown)) and whole.formula is not None and isinstance(part, (Tensor, Unknown)):
        formula = whole.formula
        part.formula = Formula("item", (formula,), formula.interval, formula.place, part)


def buffer(value: Value) -> None:
    """`value` is kept beside the parameters: no gradient is taken of it."""
    if isinstance(value, (Tensor, Unknown)) and value.formula is not None:
        value.formula = Formula("buffer", (value.formula,), value.formula.interval, value.formula.place, value)


def select(whole: Value, mask: Value, part: Value) -> None:
    """`part` is the entries of `whole` that a mask keeps."""
    item(whole, part)
    if isinstance(part, (Tensor, Unknown)) and part.formula is not None and part.formula.op == "item":
        formula = part.formula
        part.formula = Formula("select", (*formula.inputs, formula_of(mask)), formula.interval, formula.place, part)


def compared(result: Value, sides: list[Value]) -> None:
    """`result` is 1 where the sides compare as asked, 0 elsewhere."""
    set_formula(result, Formula("compare", tuple(formula_of(side) for side in sides), BIT))


def drawn(name: str, arguments: list[Value], result: Value) -> None:
    """`random.uniform(low, high)` and numpy's lie between their bounds."""
    ends = [number(argument) for argument in arguments[:2]]
    if name in ("random.uniform", "numpy.random.uniform") and len(ends) == 2 and isinstance(result, Unknown):
        low, high = ends
        if low is not None and high is not None and low <= high:
            leaf(result, Interval(low, high), "uniform")


def leaf(result: Value, interval: Interval, op: str = "leaf") -> None:
    """A value that is known by its bounds alone: the output of a layer, a loss."""
    set_formula(result, Formula(op, (), interval, getattr(result, "place", None)))


def _formula(op: str, sources: list[Value], keywords: dict[str, Value], place: Place) -> Formula | None:
    if op in ("where", "masked_fill"):
        return _where(op, sources, keywords, place)
    if op == "cat":
        parts = [item for s in sources[:1] for item in (s.items if isinstance(s, Collection) else [s])]
        inputs = tuple(formula_of(part) for part in parts[:16])
        return Formula(op, inputs, hull([i.interval for i in inputs]), place) if inputs else None
    if op == "einsum" and len(sources) == 3:
        op, sources = "@", sources[1:]
    if op in ("&", "|") and any(formula_of(source).op == "compare" for source in sources):
        return Formula("compare", tuple(formula_of(source) for source in sources), BIT, place)
    if op in ("linspace", "arange", "randint", "full"):
        return _counted(op, sources, place)
    if op in ("clamp", "clamp_min", "clamp_max"):
        return _clamp(op, sources, keywords, place)
    inputs = tuple(formula_of(source) for source in sources[:2])
    if not inputs:
        inputs = (formula_of(keywords.get("input")),)
    first = inputs[0]
    if op == "**":
        return _power(inputs, keywords, place)
    if op == "@" and len(inputs) == 2:
        return Formula(op, inputs, _product(*inputs), place)
    if op in _BINARY and len(inputs) == 2:
        return Formula(op, inputs, _binary(op, *inputs), place)
    if op in _FIXED:
        return Formula(op, inputs[:1], _FIXED[op], place)
    if op in _IDENTITY:
        return first
    if op in ("max", "min") and len(sources) == 2 and isinstance(sources[1], Tensor):
        op = f"{op}imum"
        return Formula(op, inputs, _BINARY[op](first.interval, inputs[1].interval), place)
    if op == "sum" and first.op == "*" and all(part.op == "normalize" for part in first.inputs):
        return Formula(op, (first,), COSINE, place)
    if op in _UNARY:
        return Formula(op, (first,), _UNARY[op](first.interval), place)
    return None


def _counted(op: str, sources: list[Value], place: Place) -> Formula | None:
    """A factory whose arguments tell the bounds of its values."""
    given = [number(source) for source in sources]
    if op == "full":
        found = given[1] if len(given) > 1 else None
        return Formula(op, (), Interval(found, found), place) if found is not None else None
    pair = [0.0, given[0]] if len(given) == 1 or (op == "randint" and len(given) == 2) else given[:2]
    low, high = (pair[0], pair[1]) if len(pair) == 2 else (None, None)
    if low is None or high is None or low > high:
        return None
    return Formula(op, (), Interval(low, high if op == "linspace" else max(low, high - 1.0)), place)


def _weighs(formula: Formula) -> bool:
    """Whether a product has a softmax as its first factor: attention weights times values."""
    first = formula.inputs[0] if formula.op == "@" and formula.inputs else formula
    while first.op in ("dropout", "choice", "item", "cat") and first.inputs:
        first = first.inputs[0]
    return formula.op == "@" and first.op == "softmax"


def _binary(op: str, a: Formula, b: Formula) -> Interval:
    if op == "*" and a.same(b):
        return raised(a.interval, 2.0)
    if op == "-" and b.op in ("max", "amax") and b.inputs[0].same(a):
        return Interval(-inf, 0.0)
    if op == "/" and b.op == "sum" and b.inputs[0].same(a) and a.interval.non_negative:
        return Interval(0.0, 1.0, a.interval.open_low)
    return _BINARY[op](a.interval, b.interval)


def _product(a: Formula, b: Formula) -> Interval:
    if a.op == "normalize" and b.op == "normalize":
        return COSINE
    return summed(multiplied(a.interval, b.interval))


def _power(inputs: tuple[Formula, ...], keywords: dict[str, Value], place: Place) -> Formula | None:
    exponent = inputs[1].number if len(inputs) > 1 else number(keywords.get("exponent"))
    base = inputs[0]
    if exponent is None:
        positive = len(inputs) > 1 and base.interval.known and base.interval.positive
        return Formula("**", inputs, POSITIVE, place) if positive else None
    return Formula("**", (base,), raised(base.interval, exponent), place, number=exponent)


def _clamp(op: str, sources: list[Value], keywords: dict[str, Value], place: Place) -> Formula | None:
    first = formula_of(sources[0] if sources else keywords.get("input"))
    rest = sources[1:]
    low = keywords.get("min", rest[0] if rest and op != "clamp_max" else None)
    high = keywords.get("max", rest[-1] if rest and (op == "clamp_max" or len(rest) > 1) else None)
    bottom, top = number(low), number(high)
    unseen = (low is not None and bottom is None and not _nothing(low)) or (
        high is not None and top is None and not _nothing(high)
    )
    return Formula("clamp", (first,), UNKNOWN if unseen else clamped(first.interval, bottom, top), place)


def _nothing(value: Value) -> bool:
    return isinstance(value, Constant) and value.value is None


def _where(op: str, sources: list[Value], keywords: dict[str, Value], place: Place) -> Formula | None:
    if op == "masked_fill":
        value = keywords.get("value", sources[2] if len(sources) > 2 else None)
        if not sources:
            return None
        first, filling = formula_of(sources[0]), formula_of(value)
        return Formula(op, (first, filling), hull([first.interval, filling.interval]), place)
    if len(sources) < 3:
        return None
    inputs = tuple(formula_of(source) for source in sources[:3])
    return Formula(op, inputs, hull([i.interval for i in inputs[1:]]), place)


_RESULTS = 64
"""Results of one calculation that are kept."""


def _note(it: Interpreter, formula: Formula, result: Tensor | Unknown, place: Place) -> None:
    if it.quiet:
        return
    attached = isinstance(result, Tensor) and bool(result.roots)
    in_loss = any(_LOSS_NAMES.search(frame.function) for frame in it.frames)
    signature: list[object] = [(part.op, part.interval, tuple(i.op for i in part.inputs)) for part in formula.inputs]
    chain = result.chain.previous if isinstance(result, Tensor) and result.chain is not None else None
    if formula.op.endswith("softmax") and chain is not None:
        signature.append(id(chain.subject))
    key = (place, formula.op, tuple(signature), attached, in_loss, it.recording)
    found = it.calculated.get(key)
    if found is None:
        found = it.calculated[key] = Calculation(formula, place, it.frame.function, attached, in_loss, it.recording)
        it.facts.calculations.append(found)
    if len(found.results) < _RESULTS:
        found.results.append(result)
