"""A loss function applied to an output and a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.formulas import NON_NEGATIVE, UNKNOWN
from gradlint.facts.interpret import ranges, tensors
from gradlint.facts.model import LossCall
from gradlint.facts.shapes import Shape
from gradlint.facts.values import Place, Tensor, Value, constant

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

UNREDUCED = "unreduced"
"""The formula of a loss that keeps one value for each sample or element."""


def apply(
    it: Interpreter,
    kind: str,
    function: Value,
    arguments: list[Value],
    keywords: dict[str, Value],
    place: Place,
    settings: dict[str, Value],
) -> Tensor:
    """The loss value; the call is kept as a fact."""
    names = ("input", "target")
    source = arguments[0] if arguments else keywords.get(names[0])
    target = arguments[1] if len(arguments) > 1 else keywords.get(names[1])
    result = tensors.derive(it, [*arguments[:3], *keywords.values()], place)
    result.chain = None
    result.form = None
    result.loss = function
    result.hint = "loss"
    options = {**settings, **keywords}
    whole = constant(options.get("reduction")) == "none" or constant(options.get("reduce")) is False
    ranges.leaf(result, NON_NEGATIVE if kind in ranges.DISTANCES else UNKNOWN, UNREDUCED if whole else kind)
    result.shape = None if whole else Shape(())
    result.divided = constant(settings.get("reduction")) == "sum"
    result.state_of = None
    if it.once("loss", place, id(function), _signature(source)):
        it.facts.losses.append(
            LossCall(
                kind,
                source,
                target,
                result,
                place,
                it.frame.function,
                options,
                tuple(it.repeats),
                it.recording,
            )
        )
    return result


def _signature(value: Value | None) -> object:
    tensor = tensors.as_tensor(value)
    return (tensor.form.kind if tensor is not None and tensor.form is not None else None, type(value).__name__)
