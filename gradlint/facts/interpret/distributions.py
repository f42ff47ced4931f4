"""torch's distributions: objects that hang on what they were built of, whose `sample` does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.interpret import calls, tensors
from gradlint.facts.values import External, Place, Tensor, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_PREFIX = "torch.distributions."
KIND = "distribution"


def construct(
    it: Interpreter, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Tensor | None:
    """A distribution over tensors; None where the name is no distribution's or nothing known went in."""
    values = [*arguments, *keywords.values()]
    if not name.startswith(_PREFIX) or not name.rpartition(".")[2][:1].isupper():
        return None
    if not any(isinstance(part, Tensor) for part in tensors.parts(values)):
        return None
    found = tensors.derive(it, values, place, hint=name.rpartition(".")[2])
    found.chain, found.form, found.loss = None, None, None
    found.attribute, found.owner = KIND, External(name)
    return found


def method(
    it: Interpreter, receiver: Tensor, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value | None:
    """What a method of a distribution gives, where it differs from other methods of what hangs on parameters."""
    if receiver.attribute != KIND:
        return None
    result = tensors.cut(it, receiver, "sample", place) if name == "sample" else None
    if name in ("sample", "log_prob"):
        calls.record(it, f"Distribution.{name}", arguments, keywords, result or receiver, place, receiver=receiver)
    return result
