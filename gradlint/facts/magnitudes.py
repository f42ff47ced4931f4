"""Magnitudes in words: `3·10⁻⁷`."""

from __future__ import annotations

import math


def format_ratio(value: float) -> str:
    """`3·10⁻⁷` for 3e-7, plain digits between 0.01 and 100."""
    if value == 0.0 or not math.isfinite(value):
        return "0" if value == 0.0 else str(value)
    return format_decades(math.log10(abs(value)), "-" if value < 0.0 else "")


def format_decades(decades: float, sign: str = "") -> str:
    """`3·10⁻⁷` for -6.52: the number whose log10 is `decades`, also where a float cannot hold it."""
    if not math.isfinite(decades):
        return "0" if decades < 0.0 else sign + "inf"
    if -2.0 <= decades < 2.0:
        return f"{sign}{10.0**decades:.2g}"
    exponent = math.floor(decades)
    mantissa = round(10.0 ** (decades - exponent))
    if mantissa == 10:
        mantissa, exponent = 1, exponent + 1
    return f"{sign}{mantissa}·10{str(exponent).translate(_SUPERSCRIPT)}"


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
