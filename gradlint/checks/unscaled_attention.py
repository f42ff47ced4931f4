"""GL305: attention weights from dot products that nothing scales."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.formulas import Formula
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Initialiser, Layer, Tensor, Unknown, integer, started
from gradlint.options import Options

_AROUND = frozenset({"masked_fill", "where", "choice", "+", "item", "dropout"})
"""What may stand between the product and the softmax without scaling it: a mask, a bias on positions."""
_INSIDE = frozenset({"choice", "item", "cat", "dropout"})
_PROJECTED = frozenset({"linear", "conv"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every softmax whose result is multiplied with values, as attention does."""
    seen = set()
    for calculation in facts.calculations:
        weights = _through(calculation.formula.inputs[0], _INSIDE) if calculation.formula.op == "@" else None
        if weights is None or weights.op != "softmax" or weights.place is None or weights.place in seen:
            continue
        product = _through(weights.inputs[0], _AROUND)
        if product is None or product.op != "@" or weights.place.path != facts.path:
            continue
        query, key = (_through(part, _INSIDE) for part in product.inputs)
        if query is None or key is None or not (_plain(query) and _plain(key)):
            continue
        if query.op == key.op == "leaf" and _of_matrices(facts, product):
            # Two plain tables: how much of each row another one is, no attention over time or space.
            continue
        dim = _size(query) or _size(key)
        if dim is not None and dim < options.integer("dim"):
            continue
        seen.add(weights.place)
        values = {
            "query": _name(facts, query, "the query"),
            "key": _name(facts, key, "the key"),
            "dim": str(dim) if dim is not None else "d",
            "std": f"{math.sqrt(dim):.2g}" if dim is not None else "√d",
        }
        yield Finding("unscaled-attention", weights.place.path, Range(*weights.place.at), values)


def _through(formula: Formula, passed: frozenset[str]) -> Formula | None:
    """The first step below that is none of `passed`, the same on every path; None where paths differ."""
    for _ in range(32):
        if formula.op not in passed or not formula.inputs:
            return formula
        if formula.op == "where":
            formula = formula.inputs[1]
        elif formula.op == "choice":
            found = [_through(part, passed) for part in formula.inputs]
            first = found[0]
            return first if first is not None and all(f is not None and f.op == first.op for f in found) else None
        else:
            formula = formula.inputs[0]
    return None


def _of_matrices(facts: TrainingFacts, product: Formula) -> bool:
    """Whether a product is `mm`, which takes no batch."""
    return any(call.place == product.place and call.name in ("torch.mm", "Tensor.mm") for call in facts.calls)


def _plain(formula: Formula) -> bool:
    """Whether a factor is a projection, or something handed in, with nothing done to its size."""
    if formula.op in _PROJECTED:
        return True
    value = formula.value
    if formula.op != "leaf":
        return False
    if isinstance(value, Tensor) and value.parameter and value.made is not None:
        return _of_size_one(started(value.made, "weight"))
    return isinstance(value, Unknown) and value.origin in ("parameter", "item")


def _of_size_one(start: Initialiser | None) -> bool:
    """Whether a learned query was drawn from the standard normal distribution, so that its products grow like √d."""
    return start is not None and start.kind == "randn" and "scale" not in start.keywords


def _size(formula: Formula) -> int | None:
    value = formula.value
    operation = value.chain if isinstance(value, Tensor) else None
    layer = operation.subject if operation is not None and isinstance(operation.subject, Layer) else None
    return integer(layer.argument(1, "out_features")) if layer is not None and layer.name == "Linear" else None


def _name(facts: TrainingFacts, formula: Formula, fallback: str) -> str:
    return facts.name_of(formula.value, fallback)
