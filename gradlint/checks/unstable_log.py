"""GL705: the logarithm of a softmax or sigmoid, which one fused function computes without underflow."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Edit, Finding, Fix, Range
from gradlint.facts import code, reach, spelling
from gradlint.facts.formulas import Formula
from gradlint.facts.model import Calculation, TrainingFacts
from gradlint.facts.values import Layer, Tensor
from gradlint.options import Options

_PICKS = frozenset({"item", "select", "gather", "diag", "diagonal", "choice"})
_FORMS = {
    "softmax": ("for scores 104 apart", "log_softmax(x, dim)"),
    "sigmoid": ("for scores below -89", "logsigmoid(x)"),
    "1 - sigmoid": ("for scores above 17", "logsigmoid(-x)"),
}
"""Where each is exactly 0 in float32, and what computes its logarithm."""
_FUSED = {
    "torch.softmax": "log_softmax",
    "torch.nn.functional.softmax": "log_softmax",
    "torch.nn.functional.sigmoid": "logsigmoid",
    "torch.sigmoid": "nn.functional.logsigmoid",
}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every logarithm in the loss path by what made its argument."""
    # What a `torch.where` replaces was thought of.
    seen = reach.under_where(facts)
    for calculation in reach.in_loss(facts, "log", "log2", "log10"):
        place = calculation.place
        form = _form(calculation.formula.inputs[0])
        if form is None or place in seen:
            continue
        seen.add(place)
        where, fused = _FORMS[form]
        expression = spelling.spelled(facts, place, calculation.formula.op)
        values: dict[str, str | int | float] = {"expression": expression, "where": where, "fused": fused}
        yield Finding("unstable-log", place.path, Range(*place.at), values, _fix(facts, calculation))


def _form(formula: Formula) -> str | None:
    """What the argument is, on every path: softmax, sigmoid, 1 - sigmoid, or None."""
    if formula.op in _PICKS:
        found = {_form(part) for part in formula.inputs[: None if formula.op == "choice" else 1]}
        return found.pop() if len(found) == 1 else None
    if formula.op == "-" and formula.inputs[0].number == 1 and _form(formula.inputs[1]) == "sigmoid":
        return "1 - sigmoid"
    return formula.op if formula.op in _FORMS else None


def _fix(facts: TrainingFacts, calculation: Calculation) -> Fix | None:
    """The fused function in place of the pair, where the one stands directly round or behind the other on one line."""
    inner = calculation.formula.inputs[0]
    outer_node = spelling.expression_at(facts, calculation.place)
    inner_node = spelling.expression_at(facts, inner.place) if inner.place is not None else None
    if (
        not isinstance(outer_node, code.Call)
        or not isinstance(inner_node, code.Call)
        or calculation.formula.op != "log"
    ):
        return None
    name = _renamed(facts, inner, inner_node)
    outer, squash = outer_node.at, inner_node.at
    if name is None or outer is None or squash is None or outer[2:3] != squash[2:3]:
        return None
    method = (
        isinstance(outer_node.func, code.Attribute) and outer_node.func.base is inner_node and not outer_node.arguments
    )
    inside = [argument.value for argument in outer_node.arguments] == [inner_node] and outer[0] == squash[0]
    if not method and not (inside and outer[3] == squash[3] + 1):
        return None
    edits = [Edit(Range(outer[0], outer[1], squash[0], squash[1]), ""), name, Edit(Range(*squash[2:], *outer[2:]), "")]
    return Fix(
        "Use the fused function",
        tuple(edit for edit in edits if edit.text or edit.range.column != edit.range.end_column),
    )


def _renamed(facts: TrainingFacts, inner: Formula, node: code.Call) -> Edit | None:
    """The name that is called, replaced by the fused one; None for layers and names imported alone."""
    if not isinstance(node.func, code.Attribute) or node.func.at is None:
        return None
    function = next(
        (call.name for call in facts.calls if call.place == inner.place and call.name.startswith("torch.")), ""
    )
    value = inner.value
    layer = value.chain.subject if isinstance(value, Tensor) and value.chain is not None else None
    if not function and isinstance(layer, Layer) and layer.kind == "torch.nn.functional.softmax":
        function = "torch.softmax"
    fused = _FUSED.get(function)
    if fused is None or node.func.name != function.rpartition(".")[2]:
        return None
    line, column = node.func.at[2:]
    return Edit(Range(line, column - len(node.func.name), line, column), fused)
