"""Intervals hold what arithmetic makes of the numbers inside them, and no number in a script is too odd for them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gradlint.facts.formulas import Interval, added, divided, multiplied, raised

ENDS = st.tuples(st.floats(-50, 50), st.floats(-50, 50)).map(sorted)
SHARE = st.floats(0, 1)


def point(ends: list[float], share: float) -> float:
    return min(max(ends[0] + share * (ends[1] - ends[0]), ends[0]), ends[1])


def close(interval: Interval, value: float) -> bool:
    room = 1e-9 * max(1.0, abs(value))
    return not interval.known or interval.low - room <= value <= interval.high + room


@given(ENDS, ENDS, SHARE, SHARE)
def test_arithmetic_stays_inside(a: list[float], b: list[float], i: float, j: float) -> None:
    left, right, x, y = Interval(*a), Interval(*b), point(a, i), point(b, j)
    assert close(added(left, right), x + y)
    assert close(multiplied(left, right), x * y)
    if y > 1e-6 and right.positive:
        assert close(divided(left, right), x / y)


@given(ENDS, SHARE, st.integers(1, 6))
def test_powers_stay_inside(ends: list[float], share: float, exponent: int) -> None:
    assert close(raised(Interval(*ends), exponent), point(ends, share) ** exponent)


@given(ENDS, st.floats(allow_nan=True, allow_infinity=True))
def test_any_exponent_has_an_answer(ends: list[float], exponent: float) -> None:
    found = raised(Interval(*ends), exponent)
    assert not found.known or not math.isnan(found.low)
