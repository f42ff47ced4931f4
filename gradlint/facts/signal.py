"""Closed-form forward and backward gain of a layer stack at initialisation: plain arithmetic, no torch.

A stack is a sequence of `ops` in forward order, given as plain data::

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
from collections.abc import Sequence

from gradlint.facts.activations import covariance, gain_of, moments
from gradlint.facts.ops import (
    WIDTH_IF_UNKNOWN,
    Activation,
    Attention,
    Dropout,
    Norm,
    Op,
    Opaque,
    Pool,
    Recurrent,
    Residual,
    Weight,
)
from gradlint.facts.record import record, replace

_LN10 = math.log(10.0)


@record
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


@record
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


def gain_of_op(op: Op, q: float | None, mean: float = 0.0) -> float | None:
    """The op's factor on E[delta^2], given second moment and mean of its input; None where unknown.

    None for batch normalisation too: its gain needs the variance over the batch, which q alone does not tell.
    """
    if isinstance(op, Residual) or (isinstance(op, Norm) and op.kind == "batch"):
        return None
    state = None if q is None or not math.isfinite(q) else _State(q, mean, 0.0)
    return _through(op, state, False)[1]


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
        found = moments(name, None, q)
        if found is None:
            return None
        q, before = recurrent * found[0] + fed, q
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


@record
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
        found = moments(op.activation, op.slope, state.q)
        if found is not None:
            second, mean, steepness = found
            shared = covariance(op.activation, op.slope, state.q, state.shared) if correlated else 0.0
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
