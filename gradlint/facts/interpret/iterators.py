"""Iterators over parameters: who made one, who read it to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.events import Construct, Exhaust
from gradlint.facts.values import Parameters, Place, Steps, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def keep(it: Interpreter, value: Value) -> None:
    """An iterator got a name, so that it can be used more than once."""
    if isinstance(value, Parameters) and value.exhaustible and not value.kept:
        value.kept = True
        it.emit(Construct(it.place(None), it.frame.function, value))


def exhaust(it: Interpreter, value: Value | None, place: Place, by: str) -> None:
    """`by` reads `value` to its end, and with it what it draws from."""
    if isinstance(value, Steps):
        for argument in value.arguments:
            exhaust(it, argument, place, by)
    if not isinstance(value, Parameters) or not value.exhaustible:
        return
    if value.kept:
        it.emit(Exhaust(place, it.frame.function, value, by))
    for source in value.sources:
        exhaust(it, source, place, by)
