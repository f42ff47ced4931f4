"""What a stack of layers is made of, as plain data; `signal` predicts what it does to a signal and its gradient."""

from __future__ import annotations

import math
from typing import TypeAlias

from gradlint.facts.activations import density
from gradlint.facts.record import record

WIDTH_IF_UNKNOWN = 1024


@record
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
        """Var(W) of a weight; None where it has no inputs, its mean is not zero or its initialiser is not known."""
        fan_in, fan_out = inputs * taps / groups, outputs * taps
        if not fan_in or not fan_out:
            return None
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
        return self.std**2 * (1.0 - 2.0 * edge * density(edge) / mass) if mass > 0.0 else None


_WIDTH_SCALED = frozenset(
    ("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "zeros")
)
DEFAULT = Init()


@record
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


@record
class Activation:
    """An element-wise activation by its lower-case functional name.

    slope: negative slope or alpha, None for torch's default.
    """

    activation: str
    slope: float | None = None
    name: str = ""


@record
class Norm:
    """kind: batch, layer, rms, group or instance. gamma: its scale. batch: samples that share statistics, if known."""

    kind: str
    gamma: float = 1.0
    batch: int | None = None
    name: str = ""


@record
class Dropout:
    """p: probability of zeroing, at training time."""

    p: float = 0.5
    name: str = ""


@record
class Pool:
    """kind: avg or max, not overlapping. taps: elements pooled into one (4 for 2x2), None if unknown."""

    kind: str = "max"
    taps: float | None = None
    name: str = ""


@record
class Attention:
    """Self-attention with torch's default initialisation over `tokens` independent positions."""

    tokens: int | None = None
    name: str = ""


@record
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


@record
class Opaque:
    """An op that nothing is known of: gains across it are unknown."""

    name: str = ""


@record
class Residual:
    """Adds the input of op number `start` (through `shortcut`, if any) to the output of the op before this one."""

    start: int
    shortcut: tuple[Op, ...] = ()
    name: str = ""


Op: TypeAlias = Weight | Activation | Norm | Dropout | Pool | Attention | Recurrent | Opaque | Residual


def recommended_gain(nonlinearity: str, slope: float = 0.01) -> float | None:
    """torch.nn.init.calculate_gain."""
    gains = {"tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75, "leaky_relu": math.sqrt(2.0 / (1.0 + slope**2))}
    if nonlinearity in ("linear", "sigmoid", "conv1d", "conv2d", "conv3d"):
        return 1.0
    return gains.get(nonlinearity)
