"""GL225: an expression on a gradient or its switch whose result nobody takes; `requires_grad` set on a Module."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import AttributeWrite, CallFact, TrainingFacts
from gradlint.facts.roles import role
from gradlint.facts.values import ClassValue, Gradient, Instance, Unknown, Value, is_module
from gradlint.options import Options

_PURE = frozenset({
    "clamp", "clip", "clamp_min", "clamp_max", "mul", "multiply", "div", "divide", "true_divide", "add", "sub",
    "subtract", "neg", "nan_to_num", "sign", "where", "masked_fill", "lerp", "addcmul", "round", "zeros_like",
    "operator", "to", "half", "float", "clone", "renorm", "abs", "sqrt", "fill",
})  # fmt: skip


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge discarded calls on gradients and switches written on modules."""
    for call in facts.calls:
        method = call.name.rpartition(".")[2]
        if call.discarded and method in _PURE and _on_gradient(call):
            written = "the expression" if method == "operator" else f".grad.{method}(…)"
            values = {"expression": written, "reason": "it makes a new tensor, which is thrown away"}
            yield Finding("no-op-gradient-edit", call.place.path, Range(*call.place.at), values)
        elif call.discarded and call.name == "requires_grad ==":
            values = {"expression": "requires_grad == …", "reason": "it compares and sets nothing"}
            yield Finding("no-op-gradient-edit", call.place.path, Range(*call.place.at), values)
    for write in facts.writes:
        if write.name == "requires_grad" and _is_module(write.owner) and not _own_field(write):
            name = facts.name_of(write.owner, "module")
            reason = "a Module has no switch of that name; its parameters stay as they are"
            values = {"expression": f"{name}.requires_grad = …", "reason": reason}
            yield Finding("no-op-gradient-edit", write.place.path, Range(*write.place.at), values)


def _on_gradient(call: CallFact) -> bool:
    if call.name.startswith("Gradient."):
        return True
    return (
        call.name.startswith("torch.")
        and call.name.count(".") == 1
        and bool(call.arguments)
        and isinstance(call.arguments[0], Gradient)
    )


def _own_field(write: AttributeWrite) -> bool:
    """A setting that a class, or one that it derives from, keeps under that name."""
    if not isinstance(write.owner, Instance):
        return False
    classes = [base.name for base in write.owner.cls.lineage() if isinstance(base, ClassValue)]
    return write.function.partition(".")[0] in classes


def _is_module(owner: Value) -> bool:
    return is_module(owner) or (
        isinstance(owner, Unknown) and role(owner) == "module" and owner.origin in ("parameter", "attribute")
    )
