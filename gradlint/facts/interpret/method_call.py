"""One call, as the handlers of what is called see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from gradlint.facts.record import record
from gradlint.facts.values import Place, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

Arguments = list[Value]
Keywords = dict[str, Value]
Handler = Callable[["Interpreter", str, Arguments, Keywords, Place], Value]
"""What an installed function does: given its full name, and where it is called."""

R = TypeVar("R", bound=Value, covariant=True)


@record
class MethodCall(Generic[R]):
    """`receiver.name(*arguments, **keywords)`; `hint` is the callee as written, `discarded` an unused result."""

    receiver: R
    name: str
    arguments: Arguments
    keywords: Keywords
    place: Place
    hint: str = ""
    discarded: bool = False

    def argument(self, position: int, name: str) -> Value | None:
        """The value passed for one parameter, or None."""
        return argument(self.arguments, self.keywords, position, name)


def argument(arguments: Arguments, keywords: Keywords, position: int, name: str) -> Value | None:
    """The value passed for one parameter, or None."""
    if name in keywords:
        return keywords[name]
    return arguments[position] if position < len(arguments) else None
