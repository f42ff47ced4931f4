"""Activations in closed form: moments of phi(sqrt(q) z) and of its derivative, z a standard normal variable.

A piecewise linear activation is integrated exactly, a smooth one by quadrature with an error below 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

SATURATING = frozenset({"sigmoid", "tanh", "softsign", "hardsigmoid", "hardtanh", "logsigmoid"})
"""Activations whose derivative falls to zero on both sides, or is small everywhere."""


def gain_of(activation: str, q: float, slope: float | None = None) -> float | None:
    """E[phi'(sqrt(q) z)^2]: what the activation multiplies E[delta^2] by at pre-activations of second moment q."""
    found = moments(activation, slope, q)
    return None if found is None else found[2]


def second_moment_of(activation: str, q: float, slope: float | None = None) -> float | None:
    """E[phi(sqrt(q) z)^2]."""
    found = moments(activation, slope, q)
    return None if found is None else found[0]


def knows_activation(name: str) -> bool:
    """Whether `name` is an activation with a known gain."""
    return name in _SMOOTH or _pieces(name, None) is not None


@lru_cache(maxsize=4096)
def moments(name: str, slope: float | None, q: float) -> tuple[float, float, float] | None:
    """E[phi^2], E[phi] and E[phi'^2] of phi(sqrt(q) z); None for an unknown activation or a q that is not finite."""
    if not 0.0 <= q < 1e200:
        return None
    width = math.sqrt(q)
    pieces = _pieces(name, slope)
    if pieces is not None:
        return _piecewise_moments(pieces, width)
    function = _SMOOTH.get(name)
    if function is None:
        return None
    alpha = 1.0 if slope is None else slope
    second = mean = steepness = 0.0
    for node, weight in _nodes(width, _KINKS.get(name, 0.0)):
        value, derivative = function(width * node, alpha)
        second += weight * value * value
        mean += weight * value
        steepness += weight * derivative * derivative
    return second, mean, steepness


def covariance(name: str, slope: float | None, q: float, shared: float) -> float:
    """E[phi(u) phi(v)] of two samples whose pre-activations have second moment q and covariance `shared`.

    u = sqrt(shared) s + sqrt(q - shared) a with a common s: a mean over a, squared, averaged over s.
    """
    found = moments(name, slope, q)
    common = min(max(shared, 0.0), q)
    if found is None:
        return 0.0
    if common <= 1e-9 * q:
        return found[1] ** 2
    if name == "relu":
        angle = math.acos(common / q)
        return q * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2.0 * math.pi)
    own = math.sqrt(q - common)
    coarse = [(z, weight) for z, weight in _nodes(1.0) if abs(z) < 5.0][::3]
    total = sum(weight for _, weight in coarse)
    value = _evaluator(name, slope)
    result = 0.0
    for s, weight in coarse:
        mean = sum(inner * value(math.sqrt(common) * s + own * a) for a, inner in coarse) / total
        result += weight * mean * mean
    return result / total


def _evaluator(name: str, slope: float | None) -> Callable[[float], float]:
    alpha = 1.0 if slope is None else slope
    smooth = _SMOOTH.get(name)
    if smooth is not None:
        return lambda x: smooth(x, alpha)[0]
    pieces = _pieces(name, slope) or ()
    return lambda x: next((steep * x + intercept for low, high, steep, intercept in pieces if low <= x <= high), 0.0)


def density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _sigmoid(x: float) -> float:
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    grown = math.exp(x)
    return grown / (1.0 + grown)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_Pair: TypeAlias = tuple[float, float]
_Piece: TypeAlias = tuple[float, float, float, float]


def _value_and_slope_mish(x: float, _: float) -> _Pair:
    bent = math.tanh(_softplus(x))
    return x * bent, bent + x * (1.0 - bent * bent) * _sigmoid(x)


def _value_and_slope_elu(x: float, alpha: float) -> _Pair:
    return (x, 1.0) if x > 0.0 else (alpha * math.expm1(x), alpha * math.exp(x))


def _value_and_slope_selu(x: float, _: float) -> _Pair:
    value, slope = _value_and_slope_elu(x, _SELU_ALPHA)
    return _SELU_SCALE * value, _SELU_SCALE * slope


def _value_and_slope_celu(x: float, alpha: float) -> _Pair:
    return (x, 1.0) if x > 0.0 else (alpha * math.expm1(x / alpha), math.exp(x / alpha))


def _value_and_slope_gelu(x: float, _: float) -> _Pair:
    below = _cumulative(x)
    return x * below, below + x * density(x)


def _value_and_slope_sigmoid(x: float, _: float) -> _Pair:
    value = _sigmoid(x)
    return value, value * _sigmoid(-x)


def _value_and_slope_silu(x: float, _: float) -> _Pair:
    gate = _sigmoid(x)
    return x * gate, gate * (1.0 + x * _sigmoid(-x))


def _value_and_slope_tanh(x: float, _: float) -> _Pair:
    value = math.tanh(x)
    return value, (1.0 - value) * (1.0 + value)


def _value_and_slope_hardswish(x: float, _: float) -> _Pair:
    if x <= -3.0:
        return 0.0, 0.0
    return (x, 1.0) if x >= 3.0 else (x * (x + 3.0) / 6.0, (2.0 * x + 3.0) / 6.0)


_SMOOTH: dict[str, Callable[[float, float], _Pair]] = {
    "sigmoid": _value_and_slope_sigmoid,
    "tanh": _value_and_slope_tanh,
    "gelu": _value_and_slope_gelu,
    "silu": _value_and_slope_silu,
    "swish": _value_and_slope_silu,
    "mish": _value_and_slope_mish,
    "softplus": lambda x, _: (_softplus(x), _sigmoid(x)),
    "logsigmoid": lambda x, _: (-_softplus(-x), _sigmoid(-x)),
    "softsign": lambda x, _: (x / (1.0 + abs(x)), (1.0 + abs(x)) ** -2),
    "tanhshrink": lambda x, _: (x - math.tanh(x), math.tanh(x) ** 2),
    "elu": _value_and_slope_elu,
    "selu": _value_and_slope_selu,
    "celu": _value_and_slope_celu,
    "hardswish": _value_and_slope_hardswish,
}
_KINKS = {"hardswish": 3.0}


def _pieces(name: str, slope: float | None) -> tuple[_Piece, ...] | None:
    """A piecewise linear activation as (from, to, slope, intercept); None for any other."""
    negative = {"relu": 0.0, "leaky_relu": 0.01, "prelu": 0.25, "rrelu": (1.0 / 8.0 + 1.0 / 3.0) / 2.0}.get(name)
    if negative is not None:
        if slope is not None and name != "relu":
            negative = slope
        return ((-math.inf, 0.0, negative, 0.0), (0.0, math.inf, 1.0, 0.0))
    if name == "identity":
        return ((-math.inf, math.inf, 1.0, 0.0),)
    if name == "relu6":
        return ((0.0, 6.0, 1.0, 0.0), (6.0, math.inf, 0.0, 6.0))
    if name == "hardtanh":
        return ((-math.inf, -1.0, 0.0, -1.0), (-1.0, 1.0, 1.0, 0.0), (1.0, math.inf, 0.0, 1.0))
    if name == "hardsigmoid":
        return ((-3.0, 3.0, 1.0 / 6.0, 0.5), (3.0, math.inf, 0.0, 1.0))
    return None


def _piecewise_moments(pieces: tuple[_Piece, ...], width: float) -> tuple[float, float, float]:
    second = mean = steepness = 0.0
    for low, high, slope, intercept in pieces:
        if width == 0.0:
            inside = 1.0 if low < 0.0 < high else 0.5 if 0.0 in (low, high) else 0.0
            first = squared = 0.0
        else:
            a, b = low / width, high / width
            inside = _cumulative(b) - _cumulative(a)
            first = width * (density(a) - density(b))
            edges = (0.0 if math.isinf(a) else a * density(a)) - (0.0 if math.isinf(b) else b * density(b))
            squared = width * width * (inside + edges)
        second += slope * slope * squared + 2.0 * slope * intercept * first + intercept * intercept * inside
        mean += slope * first + intercept * inside
        steepness += slope * slope * inside
    return second, mean, steepness


def _nodes(width: float, kink: float = 0.0) -> tuple[_Pair, ...]:
    """Quadrature nodes and weights for a standard normal z, fine where width * z is within a few units of 0."""
    return _panel_nodes(math.ceil(math.log2(width)) if width > 1.0 else 0, kink / width if width > kink / 9.0 else 0.0)


@lru_cache(maxsize=64)
def _panel_nodes(octaves: int, kink: float) -> tuple[_Pair, ...]:
    """Ten-point Gauss-Legendre on panels ending at integers to 9, powers of two down to 2**-octaves / 2, and kinks.

    The panels follow the scale on which phi changes, and no kink lies inside one, so the error stays below 1e-6.
    """
    positive = {float(edge) for edge in range(10)} | {2.0**-power for power in range(octaves + 2)} | {kink}
    edges = sorted(positive | {-edge for edge in positive})
    nodes: list[_Pair] = []
    for low, high in pairwise(edges):
        half, middle = (high - low) / 2.0, (high + low) / 2.0
        for point, weight in _LEGENDRE:
            for z in (middle - half * point, middle + half * point):
                nodes.append((z, half * weight * density(z)))
    return tuple(nodes)


_LEGENDRE = (
    (0.1488743389816312, 0.2955242247147529),
    (0.4333953941292472, 0.2692667193099963),
    (0.6794095682990244, 0.2190863625159821),
    (0.8650633666889845, 0.1494513491505806),
    (0.9739065285171717, 0.0666713443086881),
)
