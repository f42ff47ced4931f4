"""Formulas: how a number was computed and between which bounds it must lie.

Bounds are those of real arithmetic: `softmax` lies in (0, 1) although float32 rounds its ends. An open end is
approached but never taken; `known` is False where nothing is known, which is not the same as a range without bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, isfinite, isinf, log
from typing import TYPE_CHECKING, NamedTuple

from gradlint.facts.record import record

if TYPE_CHECKING:
    from gradlint.facts.values import Place, Value


class Interval(NamedTuple):
    """From `low` to `high`; an open end does not belong to it."""

    low: float = -inf
    high: float = inf
    open_low: bool = False
    open_high: bool = False
    known: bool = True

    def contains(self, point: float) -> bool:
        """Whether the point lies inside, ends included where they are closed."""
        below = self.low < point or (self.low == point and not self.open_low)
        above = self.high > point or (self.high == point and not self.open_high)
        return below and above

    @property
    def positive(self) -> bool:
        return self.low > 0 or (self.low == 0 and self.open_low)

    @property
    def non_negative(self) -> bool:
        return self.low >= 0

    def __str__(self) -> str:
        left = "(" if self.open_low or isinf(self.low) else "["
        right = ")" if self.open_high or isinf(self.high) else "]"
        return f"{left}{_number(self.low)}, {_number(self.high)}{right}"


def _number(value: float) -> str:
    return ("−∞" if value < 0 else "∞") if isinf(value) else f"{value:g}"


UNKNOWN = Interval(known=False)
EVERYTHING = Interval()
NON_NEGATIVE = Interval(0.0)
POSITIVE = Interval(0.0, open_low=True)
UNIT = Interval(0.0, 1.0, True, True)
BIT = Interval(0.0, 1.0)
COSINE = Interval(-1.0, 1.0)


@record
class Formula:
    """One step of a computation: `op` of `inputs`; `leaf` for what is not computed from anything seen.

    `value` is what came out, by which messages name it; `number` the exponent of a power, or the plain number itself.
    """

    op: str
    inputs: tuple[Formula, ...]
    interval: Interval
    place: Place | None = None
    value: Value | None = None
    number: float | None = None

    def same(self, other: Formula, depth: int = 10) -> bool:
        """Whether both compute the same thing from the same leaves."""
        if self is other:
            return True
        if (
            self.op in ("leaf", "item", "select")
            or self.op != other.op
            or self.number != other.number
            or len(self.inputs) != len(other.inputs)
        ):
            return False
        if self.op == "number":
            return True
        return depth > 0 and all(a.same(b, depth - 1) for a, b in zip(self.inputs, other.inputs, strict=True))


def constant(value: float) -> Formula:
    """A plain number."""
    return Formula("number", (), Interval(value, value), number=value)


def hull(intervals: list[Interval]) -> Interval:
    """The smallest interval around all of them; unknown if one is."""
    if not intervals or not all(i.known for i in intervals):
        return UNKNOWN
    low, high = min(i.low for i in intervals), max(i.high for i in intervals)
    return Interval(
        low,
        high,
        all(i.open_low for i in intervals if i.low == low),
        all(i.open_high for i in intervals if i.high == high),
    )


def joined(parts: Sequence[Formula | None]) -> Formula | None:
    """One of several; None if nothing is known of one of them."""
    first = parts[0]
    if all(part is first for part in parts):
        return first
    seen = tuple(part for part in parts if part is not None)
    if len(seen) < len(parts):
        return None
    return Formula("choice", seen, hull([part.interval for part in seen]), seen[0].place, seen[0].value)


def negated(a: Interval) -> Interval:
    """−a."""
    return Interval(-a.high, -a.low, a.open_high, a.open_low, a.known)


def added(a: Interval, b: Interval) -> Interval:
    """a + b."""
    if not (a.known and b.known):
        return UNKNOWN
    return Interval(a.low + b.low, a.high + b.high, a.open_low or b.open_low, a.open_high or b.open_high)


def multiplied(a: Interval, b: Interval) -> Interval:
    """a · b."""
    if not (a.known and b.known):
        return UNKNOWN
    corners = [0.0 if 0.0 in (x, y) else x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = min(corners), max(corners)
    zero = a.contains(0.0) or b.contains(0.0)
    opened = a.open_low or a.open_high or b.open_low or b.open_high
    return Interval(low, high, not zero if low == 0 else opened, not zero if high == 0 else opened)


def divided(a: Interval, b: Interval) -> Interval:
    """a / b, known where the sign of the divisor is."""
    if not a.known or not b.known or not b.positive:
        return UNKNOWN
    if a.low == 0 or a.high == 0 or isinf(b.high) or b.low == 0:
        inverse = Interval(0.0 if isinf(b.high) else 1 / b.high, inf if b.low == 0 else 1 / b.low, True, True)
    else:
        inverse = Interval(1 / b.high, 1 / b.low, b.open_high, b.open_low)
    return multiplied(a, inverse)


def raised(a: Interval, exponent: float) -> Interval:
    """a ** exponent."""
    if not isfinite(exponent):
        return UNKNOWN
    if exponent == int(exponent) and exponent > 0 and int(exponent) % 2 == 0:
        if not a.known:
            return NON_NEGATIVE
        ends = [_power(abs(a.low), exponent), _power(abs(a.high), exponent)]
        if a.contains(0.0) or a.low < 0 < a.high:
            return Interval(0.0, max(ends))
        return Interval(min(ends), max(ends), a.open_low or a.open_high, a.open_low or a.open_high)
    if a.known and a.non_negative and exponent > 0:
        return Interval(_power(a.low, exponent), _power(a.high, exponent), a.open_low, a.open_high)
    if a.known and a.positive:
        return POSITIVE
    return UNKNOWN


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return inf


def exponential(a: Interval) -> Interval:
    """exp(a): positive whatever a is."""
    low = exp(a.low) if a.known and a.low > -700 and a.low < 700 else 0.0
    high = exp(a.high) if a.known and a.high < 700 else inf
    return Interval(low, high, low == 0 or a.open_low, a.open_high)


def logarithm(a: Interval) -> Interval:
    """log(a)."""
    if not a.known or not a.non_negative:
        return UNKNOWN
    return Interval(
        log(a.low) if a.low > 0 else -inf, log(a.high) if 0 < a.high < inf else inf, a.open_low, a.open_high
    )


def absolute(a: Interval) -> Interval:
    """|a|."""
    if not a.known:
        return NON_NEGATIVE
    if a.non_negative:
        return a
    if a.high <= 0:
        return negated(a)
    return Interval(0.0, max(-a.low, a.high))


def clamped(a: Interval, low: float | None, high: float | None) -> Interval:
    """a cut off at `low` and `high`."""
    bottom, top = -inf if low is None else low, inf if high is None else high
    if not a.known:
        return UNKNOWN if low is None and high is None else Interval(bottom, top)
    keep_low, keep_high = a.low > bottom, a.high < top
    return Interval(
        max(a.low, bottom),
        min(a.high, top) if a.high > bottom else bottom,
        a.open_low and keep_low,
        a.open_high and keep_high,
    )


def summed(a: Interval) -> Interval:
    """A sum of any number of terms from a: its sign is kept, its size is not."""
    if not a.known:
        return UNKNOWN
    if a.non_negative:
        return Interval(a.low, inf, a.open_low)
    if a.high <= 0:
        return Interval(-inf, a.high, open_high=a.open_high)
    return EVERYTHING
