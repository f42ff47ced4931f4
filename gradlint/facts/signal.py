"""Closed-form forward and backward gain of a layer stack at initialisation: plain arithmetic, no torch.

A stack is a sequence of ops in forward order, given as plain data::

    stack = [Weight("linear", 784, 256, name="fc1"), Activation("sigmoid"),
             Weight("linear", 256, 256, name="fc2"), Activation("sigmoid"),
             Weight("linear", 256, 10, name="fc3")]
    profile = predict(stack)
    profile.decades              # log10 of gradient amplitude at `fc1` over the one at `fc3`, here about -1.7
    profile.smallest.name        # the weight layer with the smallest local backward gain

    Weight(kind, inputs, outputs, taps, stride, groups, init, bias, name)   linear, conv, embedding
    Activation(name, slope) · Norm(kind, gamma, batch) · Dropout(p) · Pool(kind, taps)
    Attention(tokens) · Residual(start, shortcut) · Recurrent(kind, ...) · Opaque(name)

Names used below: q is the second moment of an op's output (per element, dimensionless), delta the gradient of the
loss with respect to that output, phi an activation, z a standard normal variable. Mean field theory (Poole et al. 2016,
"Exponential expressivity"; Schoenholz et al. 2017, "Deep information propagation") gives, a layer,

    q' = Var(W) fan_in E[phi(sqrt(q) z)^2] + Var(b)             forward
    G  = Var(W) fan_out E[phi'(sqrt(q) z)^2]                    backward, the factor on E[delta^2]

q is propagated layer by layer, never replaced by its fixed point. Every amplitude is the square root of a second
moment. Unknown is a value: an op whose gain cannot be known has gain None, and so has every ratio across it. A missing
width is taken from the neighbouring weight of the same kind; only where both widths of a weight are unknown is their
ratio taken as 1. Valid at initialisation and for independent inputs; `Profile.spread` gives the finite-width deviation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

WIDTH_IF_UNKNOWN = 1024
_LN10 = math.log(10.0)


@dataclass(frozen=True, slots=True)
class Init:
    """An initialiser by its `torch.nn.init` name without the underscore, or `default` for the layer's own.

    normal and trunc_normal use `mean`, `std` (and `low`, `high`); uniform uses `low`, `high`; xavier_uniform,
    xavier_normal and orthogonal use `gain`; kaiming_uniform and kaiming_normal use `mode`, `nonlinearity` and `slope`
    (torch's `a`); zeros, ones, constant (`value`). `measured` takes `std` as it is.
    """

    name: str = "default"
    gain: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    low: float | None = None
    high: float | None = None
    slope: float = 0.0
    mode: str = "fan_in"
    nonlinearity: str = "leaky_relu"
    value: float = 0.0

    @property
    def scales_with_width(self) -> bool:
        """Whether Var(W) is proportional to 1/width, so that the gain is known without the width."""
        return self.name in _WIDTH_SCALED or (self.name == "constant" and self.value == 0.0)

    def variance(self, inputs: float, outputs: float, taps: float = 1.0, groups: float = 1.0) -> float | None:
        """Var(W) of a weight; None where the mean is not zero or the initialiser is not known."""
        fan_in, fan_out = inputs * taps / groups, outputs * taps
        fans = fan_in if self.mode == "fan_in" else fan_out
        if self.name == "default":
            return 1.0 / (3.0 * fan_in)
        if self.name in ("xavier_uniform", "xavier_normal"):
            return self.gain**2 * 2.0 / (fan_in + fan_out)
        if self.name in ("kaiming_uniform", "kaiming_normal"):
            gain = recommended_gain(self.nonlinearity, self.slope)
            return None if gain is None else gain**2 / fans
        if self.name == "orthogonal":
            return self.gain**2 / max(outputs, fan_in)
        if self.name == "measured" or (self.name == "normal" and self.mean == 0.0):
            return self.std**2
        if self.name == "trunc_normal" and self.mean == 0.0:
            return self._truncated_variance()
        if self.name == "uniform" and self.low is not None and self.high is not None and self.low == -self.high:
            return self.high**2 / 3.0
        if self.name == "zeros" or (self.name == "constant" and self.value == 0.0):
            return 0.0
        return None

    def _truncated_variance(self) -> float | None:
        low = -2.0 if self.low is None else self.low
        high = 2.0 if self.high is None else self.high
        if self.std <= 0.0 or low != -high:
            return None
        edge = high / self.std
        mass = math.erf(edge / math.sqrt(2.0))
        return self.std**2 * (1.0 - 2.0 * edge * _density(edge) / mass) if mass > 0.0 else None


_WIDTH_SCALED = frozenset(
    ("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "zeros")
)
DEFAULT = Init()


@dataclass(frozen=True, slots=True)
class Weight:
    """A layer with a weight matrix or kernel.

    kind: linear, conv, transposed or embedding (default N(0, 1), ends the path). inputs, outputs: features or channels,
    None if unknown. taps: elements of the kernel (9 for 3x3). stride: product over the spatial dimensions. groups:
    equal to inputs for a depthwise convolution. bias: its initialiser, None for no bias.
    """

    kind: str = "linear"
    inputs: int | None = None
    outputs: int | None = None
    taps: float = 1.0
    stride: float = 1.0
    groups: int = 1
    init: Init = DEFAULT
    bias: Init | None = DEFAULT
    name: str = ""


@dataclass(frozen=True, slots=True)
class Activation:
    """An element-wise activation by its lower-case functional name.

    slope: negative slope or alpha, None for torch's default.
    """

    activation: str
    slope: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Norm:
    """kind: batch, layer, rms, group or instance. gamma: its scale. batch: samples that share statistics, if known."""

    kind: str
    gamma: float = 1.0
    batch: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Dropout:
    """p: probability of zeroing, at training time."""

    p: float = 0.5
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """kind: avg or max, not overlapping. taps: elements pooled into one (4 for 2x2), None if unknown."""

    kind: str = "max"
    taps: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attention:
    """Self-attention with torch's default initialisation over `tokens` independent positions."""

    tokens: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Recurrent:
    """kind: rnn_tanh, rnn_relu, lstm or gru.

    forget_bias: sum of both forget-gate biases. init: of the recurrent weight. inputs: taken as an eighth of hidden
    where unknown.
    """

    kind: str
    inputs: int | None = None
    hidden: int | None = None
    steps: int | None = None
    forget_bias: float = 0.0
    init: Init = DEFAULT
    name: str = ""


@dataclass(frozen=True, slots=True)
class Opaque:
    """An op that nothing is known of: gains across it are unknown."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Residual:
    """Adds the input of op number `start` (through `shortcut`, if any) to the output of the op before this one."""

    start: int
    shortcut: tuple[Op, ...] = ()
    name: str = ""


Op: TypeAlias = Weight | Activation | Norm | Dropout | Pool | Attention | Recurrent | Opaque | Residual


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """What is predicted of one op.

    q: second moment of its output. gain: E[delta^2] at its input over E[delta^2] at its output. decades: log10 of the
    gradient amplitude at its output over that at the output of the last weight. local: for a weight, the amplitude gain
    from its output to the output of the weight before it (None for the first one). All None where unknown.
    """

    index: int
    op: Op
    q: float | None
    gain: float | None
    decades: float | None
    local: float | None = None

    @property
    def name(self) -> str:
        """The op's name as the caller gave it."""
        return self.op.name

    @property
    def ratio(self) -> float | None:
        """10 ** decades: gradient amplitude relative to the last weight's (0 or inf outside the range of a float)."""
        return None if self.decades is None else _power(self.decades)


@dataclass(frozen=True, slots=True)
class Profile:
    """The prediction for a whole stack; `layers` has one entry an op, in forward order."""

    layers: tuple[LayerProfile, ...]
    spread: float

    @property
    def weights(self) -> tuple[LayerProfile, ...]:
        """The entries of weight layers."""
        return tuple(layer for layer in self.layers if isinstance(layer.op, Weight))

    @property
    def decades(self) -> float | None:
        """log10 of the gradient amplitude at the first weight over the one at the last; negative = vanishing."""
        weights = self.weights
        return weights[0].decades if weights else None

    @property
    def ratio(self) -> float | None:
        """Gradient amplitude at the first weight over the one at the last."""
        return self.weights[0].ratio if self.weights else None

    @property
    def factor(self) -> float | None:
        """Geometric mean of the amplitude gain from one weight to the one before it."""
        decades, pairs = self.decades, len(self.weights) - 1
        return None if decades is None or pairs < 1 else _power(decades / pairs)

    @property
    def smallest(self) -> LayerProfile | None:
        """The weight with the smallest local gain, None if none is known."""
        return min(
            (layer for layer in self.weights if layer.local is not None),
            key=lambda layer: layer.local if layer.local is not None else math.inf,
            default=None,
        )


def predict(stack: Sequence[Op], initial_q: float = 1.0) -> Profile:
    """Predicted profile of a stack whose input elements have mean 0 and second moment `initial_q`."""
    ops = _fill_widths(stack)
    state: _State | None = _State(initial_q, 0.0, 0.0)
    entering: list[_State | None] = []
    leaving: list[_State | None] = []
    gains: list[float | None] = []
    correlated = any(isinstance(op, Norm) and op.kind == "batch" for op in ops)
    for op in ops:
        entering.append(state)
        if isinstance(op, Residual):
            side = entering[op.start] if 0 <= op.start < len(entering) else None
            gain: float | None = 1.0
            for inner in op.shortcut:
                side, factor = _through(inner, side, correlated)
                gain = None if gain is None or factor is None else gain * factor
            state = None if state is None or side is None else state.plus(side)
        else:
            state, gain = _through(op, state, correlated)
        leaving.append(state)
        gains.append(gain)
    logs = _backward(ops, gains)
    layers: list[LayerProfile] = []
    local: float | None = None
    for index, op in enumerate(ops):
        gain = gains[index]
        here: float | None = None
        if isinstance(op, Weight):
            if local is not None and gain is not None:
                here = math.sqrt(local * gain)
            local = 1.0
        elif not isinstance(op, Residual):
            local = None if local is None or gain is None else local * gain
        log, after = logs[index], leaving[index]
        decades = None if log is None else log / _LN10 / 2.0
        layers.append(LayerProfile(index, op, None if after is None else after.q, gain, decades, here))
    return Profile(tuple(layers), _spread(ops))


def gain_of(activation: str | Activation, q: float, slope: float | None = None) -> float | None:
    """E[phi'(sqrt(q) z)^2]: what the activation multiplies E[delta^2] by at pre-activations of second moment q."""
    op = activation if isinstance(activation, Activation) else Activation(activation, slope)
    moments = _moments(op.activation, op.slope, q)
    return None if moments is None else moments[2]


def gain_of_op(op: Op, q: float | None, mean: float = 0.0) -> float | None:
    """The op's factor on E[delta^2], given second moment and mean of its input; None where unknown.

    None for batch normalisation too: its gain needs the variance over the batch, which q alone does not tell.
    """
    if isinstance(op, Residual) or (isinstance(op, Norm) and op.kind == "batch"):
        return None
    state = None if q is None or not math.isfinite(q) else _State(q, mean, 0.0)
    return _through(op, state, False)[1]


def second_moment_of(activation: str, q: float, slope: float | None = None) -> float | None:
    """E[phi(sqrt(q) z)^2]."""
    moments = _moments(activation, slope, q)
    return None if moments is None else moments[0]


def knows_activation(name: str) -> bool:
    """Whether `name` is an activation with a known gain."""
    return name in _SMOOTH or _pieces(name, None) is not None


def recommended_gain(nonlinearity: str, slope: float = 0.01) -> float | None:
    """torch.nn.init.calculate_gain."""
    gains = {"tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75, "leaky_relu": math.sqrt(2.0 / (1.0 + slope**2))}
    if nonlinearity in ("linear", "sigmoid", "conv1d", "conv2d", "conv3d"):
        return 1.0
    return gains.get(nonlinearity)


def time_factor(cell: Recurrent, initial_q: float = 1.0) -> float | None:
    """Gradient amplitude a recurrent cell multiplies by each time step it goes back; None where unknown.

    LSTM and GRU: the carried state times its gate at rest, plus the path over the recurrent weight through two half-
    open gates: sigmoid(forget_bias) + sqrt(hidden Var W) / 4, which is 1/2 + 1/(4 sqrt 3) = 0.644 by default.
    RNN: sqrt(hidden Var W E[phi'^2]) at the stationary q of the cell fed with inputs of second moment `initial_q`.
    """
    hidden = cell.hidden or WIDTH_IF_UNKNOWN
    if cell.hidden is None and not cell.init.scales_with_width:
        return None
    variance = 1.0 / (3.0 * hidden) if cell.init.name == "default" else cell.init.variance(hidden, hidden)
    if variance is None:
        return None
    recurrent = hidden * variance
    if cell.kind == "lstm":
        return 1.0 / (1.0 + math.exp(-cell.forget_bias)) + math.sqrt(recurrent) / 4.0
    if cell.kind == "gru":
        return 0.5 + math.sqrt(recurrent) / 4.0
    name = {"rnn_tanh": "tanh", "rnn_relu": "relu"}.get(cell.kind)
    if name is None:
        return None
    inputs = cell.inputs if cell.inputs is not None and cell.hidden is not None else hidden / 8.0
    fed = inputs / (3.0 * hidden) * initial_q + 2.0 / (3.0 * hidden)
    q = fed
    for _ in range(100):
        moments = _moments(name, None, q)
        if moments is None:
            return None
        q, before = recurrent * moments[0] + fed, q
        if abs(q - before) <= 1e-9 * q:
            break
    gain = gain_of(name, q)
    return None if gain is None else math.sqrt(recurrent * gain)


def time_decades(cell: Recurrent, initial_q: float = 1.0) -> float | None:
    """log10 of the gradient amplitude at the first time step over that at the last; None where it is unknown."""
    factor = time_factor(cell, initial_q)
    return None if factor is None or cell.steps is None or factor <= 0.0 else (cell.steps - 1) * math.log10(factor)


def cross_entropy_start(classes: int) -> tuple[float, float]:
    """Mean cross-entropy over K classes at zero logits: its value ln K, and batch size times squared norm, 1 - 1/K."""
    return math.log(classes), 1.0 - 1.0 / classes


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


@dataclass(frozen=True, slots=True)
class _State:
    """q: second moment. mean: mean over the units. shared: covariance between two samples (what a batch mean holds)."""

    q: float
    mean: float
    shared: float

    def plus(self, other: _State) -> _State:
        return _State(self.q + other.q, self.mean + other.mean, self.shared + other.shared)


def _through(op: Op, state: _State | None, correlated: bool) -> tuple[_State | None, float | None]:
    """State after the op, and the op's factor on E[delta^2]."""
    if isinstance(op, Weight):
        return _through_weight(op, state)
    if isinstance(op, Dropout):
        factor = 1.0 / (1.0 - op.p) if op.p < 1.0 else None
        return (None if state is None or factor is None else replace(state, q=state.q * factor)), factor
    if isinstance(op, Pool) and op.taps is not None:
        if op.kind == "max":
            return state, 1.0 / op.taps
        if state is not None:
            state = replace(state, q=state.mean**2 + (state.q - state.mean**2) / op.taps)
        return state, 1.0 / op.taps**2
    if isinstance(op, Norm):
        return _through_norm(op, state)
    if isinstance(op, Attention) and op.tokens:
        mixing = math.exp(0.25) / op.tokens
        return (None if state is None else _State(state.q * mixing / 6.0, 0.0, 0.0)), mixing * (1.0 / 6.0 + 1.0 / 12.0)
    if isinstance(op, Activation) and state is not None:
        moments = _moments(op.activation, op.slope, state.q)
        if moments is not None:
            second, mean, steepness = moments
            shared = _shared(op, state) if correlated else 0.0
            return _State(second, mean, shared), steepness
    return None, None


def _through_weight(op: Weight, state: _State | None) -> tuple[_State | None, float | None]:
    if op.kind == "embedding":
        variance = 1.0 if op.init.name == "default" else op.init.variance(op.inputs or 1, op.outputs or 1)
        return (None if variance is None else _State(variance, 0.0, 0.0)), 0.0
    inputs, outputs = op.inputs, op.outputs
    if inputs is None and outputs is None and op.init.scales_with_width:
        inputs = outputs = WIDTH_IF_UNKNOWN
    taps_in = op.taps / op.stride if op.kind == "transposed" else op.taps
    taps_out = op.taps if op.kind == "transposed" else op.taps / op.stride
    if inputs is None or outputs is None:
        return None, None
    if op.kind == "transposed":
        variance = op.init.variance(outputs, inputs, op.taps, op.groups)
    else:
        variance = op.init.variance(inputs, outputs, op.taps, op.groups)
    if variance is None:
        return None, None
    fan_in = inputs / op.groups * taps_in
    bias: float | None = 0.0
    if op.bias is not None:
        bias = 1.0 / (3.0 * fan_in) if op.bias.name == "default" else op.bias.variance(fan_in, outputs)
    gain = variance * outputs / op.groups * taps_out
    if state is None or bias is None:
        return None, gain
    return _State(variance * fan_in * state.q + bias, 0.0, variance * fan_in * state.shared + bias), gain


def _through_norm(op: Norm, state: _State | None) -> tuple[_State | None, float | None]:
    if state is None:
        return _State(op.gamma**2, 0.0, 0.0), None
    removed = {"batch": state.shared, "rms": 0.0}.get(op.kind, state.mean**2)
    variance = state.q - removed
    if variance <= 0.0:
        return _State(op.gamma**2, 0.0, 0.0), None
    gain = op.gamma**2 / variance
    if op.kind == "batch":
        shared = 0.0
        gain *= 1.0 - 2.0 / op.batch if op.batch is not None and op.batch > 2 else 1.0
    else:
        shared = max(0.0, state.shared - removed) * op.gamma**2 / variance
    return _State(op.gamma**2, 0.0, shared), gain


def _backward(ops: Sequence[Op], gains: Sequence[float | None]) -> list[float | None]:
    """ln E[delta^2] at each op's output, 0 at the last weight; None where unknown or after it."""
    last = max((index for index, op in enumerate(ops) if isinstance(op, Weight)), default=-1)
    unknown = math.nan
    logs = [-math.inf] * (len(ops) + 1)
    if last >= 0:
        logs[last + 1] = 0.0
    for index in range(last, -1, -1):
        op, gain, here = ops[index], gains[index], logs[index + 1]
        log_gain = unknown if gain is None else math.log(gain) if gain > 0.0 else -math.inf
        if isinstance(op, Residual):
            logs[index] = _log_add(logs[index], here)
            logs[op.start] = _log_add(logs[op.start], here + log_gain)
        else:
            logs[index] = _log_add(logs[index], here + log_gain)
    return [None if math.isnan(log) or index > last else log for index, log in enumerate(logs[1:])]


def _log_add(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.nan
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _fill_widths(stack: Sequence[Op]) -> list[Op]:
    """Give a weight whose one width is missing the neighbouring weight's, where the kinds agree."""
    ops = list(stack)
    before: Weight | None = None
    for index, op in enumerate(ops):
        if isinstance(op, Weight):
            if before is not None and op.inputs is None and op.outputs is not None and before.kind == op.kind:
                op = replace(op, inputs=before.outputs)
                ops[index] = op
            before = op
        elif isinstance(op, Residual | Opaque | Recurrent):
            before = None
    after: Weight | None = None
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        if isinstance(op, Weight):
            if after is not None and op.outputs is None and op.inputs is not None and after.kind == op.kind:
                op = replace(op, outputs=after.inputs)
                ops[index] = op
            after = op
        elif isinstance(op, Residual | Opaque | Recurrent):
            after = None
    return ops


def _spread(ops: Sequence[Op]) -> float:
    """Standard deviation, in decades of amplitude, of the first-to-last ratio at finite width (Hanin 2018).

    ln of the squared-norm ratio is normal with variance beta = 5 sum 1/n over the widths for ReLU, 2 sum 1/n otherwise.
    """
    kinked = any(isinstance(op, Activation) and op.activation == "relu" for op in ops)
    widths = [op.outputs or WIDTH_IF_UNKNOWN for op in ops if isinstance(op, Weight)]
    beta = (5.0 if kinked else 2.0) * sum(1.0 / width for width in widths[:-1])
    return math.sqrt(beta) / (2.0 * _LN10)


def _power(decades: float) -> float:
    return math.inf if decades > 308.0 else math.pow(10.0, decades)


def _density(x: float) -> float:
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
    return x * below, below + x * _density(x)


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


@lru_cache(maxsize=4096)
def _moments(name: str, slope: float | None, q: float) -> tuple[float, float, float] | None:
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


def _piecewise_moments(pieces: tuple[_Piece, ...], width: float) -> tuple[float, float, float]:
    second = mean = steepness = 0.0
    for low, high, slope, intercept in pieces:
        if width == 0.0:
            inside = 1.0 if low < 0.0 < high else 0.5 if 0.0 in (low, high) else 0.0
            first = squared = 0.0
        else:
            a, b = low / width, high / width
            inside = _cumulative(b) - _cumulative(a)
            first = width * (_density(a) - _density(b))
            edges = (0.0 if math.isinf(a) else a * _density(a)) - (0.0 if math.isinf(b) else b * _density(b))
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
                nodes.append((z, half * weight * _density(z)))
    return tuple(nodes)


_LEGENDRE = (
    (0.1488743389816312, 0.2955242247147529),
    (0.4333953941292472, 0.2692667193099963),
    (0.6794095682990244, 0.2190863625159821),
    (0.8650633666889845, 0.1494513491505806),
    (0.9739065285171717, 0.0666713443086881),
)


def _shared(op: Activation, state: _State) -> float:
    """E[phi(u) phi(v)] of two samples whose pre-activations have second moment q and covariance `shared`.

    u = sqrt(shared) s + sqrt(q - shared) a with a common s: a mean over a, squared, averaged over s.
    """
    moments = _moments(op.activation, op.slope, state.q)
    common = min(max(state.shared, 0.0), state.q)
    if moments is None:
        return 0.0
    if common <= 1e-9 * state.q:
        return moments[1] ** 2
    if op.activation == "relu":
        angle = math.acos(common / state.q)
        return state.q * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2.0 * math.pi)
    own = math.sqrt(state.q - common)
    coarse = [(z, weight) for z, weight in _nodes(1.0) if abs(z) < 5.0][::3]
    total = sum(weight for _, weight in coarse)
    value = _evaluator(op)
    result = 0.0
    for s, weight in coarse:
        mean = sum(inner * value(math.sqrt(common) * s + own * a) for a, inner in coarse) / total
        result += weight * mean * mean
    return result / total


def _evaluator(op: Activation) -> Callable[[float], float]:
    alpha = 1.0 if op.slope is None else op.slope
    smooth = _SMOOTH.get(op.activation)
    if smooth is not None:
        return lambda x: smooth(x, alpha)[0]
    pieces = _pieces(op.activation, op.slope) or ()
    return lambda x: next((slope * x + intercept for low, high, slope, intercept in pieces if low <= x <= high), 0.0)
