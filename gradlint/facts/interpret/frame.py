"""What is known of one call while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from gradlint.facts.record import record
from gradlint.facts.scope import Scope
from gradlint.facts.values import ClassValue, Value


@record
class Frame:
    """One local call (or the module itself) being run; `loops` were open when it began, `drawn` are the loaders that it
    went through.
    """

    scope: Scope
    function: str
    node: Any = None
    receiver: Value | None = None
    owner: ClassValue | None = None
    returns: list[Value] = field(default_factory=list)
    ready: bool | None = None
    resume: Callable[[Value], None] | None = None
    generates: bool = False
    loops: int = 0
    drawn: list[Value] = field(default_factory=list)
