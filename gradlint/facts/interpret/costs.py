"""What calls into other files cost: those that would use up the steps of a linted file count as unseen.

A file that takes too many steps is interpreted again from its start, without them: so they are unseen everywhere, as
those of an installed package are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradlint.facts.code import Span
from gradlint.facts.values import FunctionValue, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

AGAIN = 2
"""Times that a file is interpreted again before what follows the last step allowed counts as unknown."""
SHARE = 5
"""A callee that takes more than one in so many of the steps is one that uses them up."""

Key = tuple[str, Span]


class TooManyStepsError(Exception):
    """The steps are used up; without `callees` (by where they stand, with their names) they may not be."""

    def __init__(self, callees: dict[Key, str]) -> None:
        self.callees = callees


def key_of(function: FunctionValue) -> Key:
    """Where a function is defined."""
    return (function.scope.path, function.node.at or (0, 0, 0, 0))


class Costs:
    """Steps by callee, with all that it calls."""

    def __init__(self) -> None:
        self._names: dict[Key, str] = {}
        self._steps: Counter[Key] = Counter()
        self._inside: Counter[tuple[Key, Key]] = Counter()
        self._open: dict[Key, int] = {}

    def of(self, it: Interpreter, function: FunctionValue, name: str, run: Callable[[], Value]) -> Value:
        """Run a call of a function in another file and charge it; one inside itself costs nothing more."""
        key = key_of(function)
        if key in self._open:
            return run()
        self._names[key] = name
        self._open[key] = it.fuel
        result = run()
        self._charge(it, key)
        del self._open[key]
        return result

    def _charge(self, it: Interpreter, key: Key) -> None:
        spent, self._open[key] = self._open[key] - it.fuel, it.fuel
        self._steps[key] += spent
        for outer in self._open:
            if outer == key:
                break
            self._inside[outer, key] += spent

    def dearest(self, it: Interpreter, steps: int) -> dict[Key, str]:
        """The callees that `steps`, all taken until now, went into: not those that are dear by what they call."""
        for key in self._open:
            self._charge(it, key)
        dear = {key: spent for key, spent in self._steps.items() if spent * SHARE > steps}
        return {key: self._names[key] for key in dear if not any(self._passes_on(key, other) for other in dear)}

    def _passes_on(self, key: Key, other: Key) -> bool:
        """Whether more than half of what a callee takes is taken by another one; of two that call each other, the
        dearer one is at fault.
        """
        if key == other or self._inside[key, other] * 2 <= self._steps[key]:
            return False
        mutual = self._inside[other, key] * 2 > self._steps[other]
        return not mutual or (self._steps[other], other) > (self._steps[key], key)
