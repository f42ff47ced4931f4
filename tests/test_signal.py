"""The closed forms against published or measured values; widths 256 unless said otherwise."""

from __future__ import annotations

import math

import pytest

from gradlint.facts.activations import gain_of, knows_activation, second_moment_of
from gradlint.facts.magnitudes import format_decades, format_ratio
from gradlint.facts.ops import (
    DEFAULT,
    Activation,
    Attention,
    Dropout,
    Init,
    Norm,
    Op,
    Opaque,
    Pool,
    Recurrent,
    Residual,
    Weight,
    recommended_gain,
)
from gradlint.facts.signal import cross_entropy_start, gain_of_op, predict, time_decades, time_factor

HE = Init("kaiming_normal", nonlinearity="relu")
XAVIER = Init("xavier_normal")


def plain(activation: str, depth: int, init: Init = DEFAULT, bias: Init | None = DEFAULT, width: int = 256) -> list[Op]:
    ops: list[Op] = []
    for number in range(depth):
        ops += [Weight("linear", width, width, init=init, bias=bias, name=f"fc{number + 1}"), Activation(activation)]
    return ops


def midpoint(function: str, q: float, of: str) -> float:
    """E[phi^2] or E[phi'^2] by the midpoint rule, with phi' by a central difference: independent of the quadrature."""
    functions = {
        "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0,
        "tanh": math.tanh,
        "gelu": lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2.0)),
        "silu": lambda x: x / (1.0 + math.exp(-x)) if x > -700 else 0.0,
        "elu": lambda x: x if x > 0 else math.expm1(x),
        "softsign": lambda x: x / (1.0 + abs(x)),
        "hardtanh": lambda x: max(-1.0, min(1.0, x)),
        "hardswish": lambda x: x * max(0.0, min(6.0, x + 3.0)) / 6.0,
        "relu6": lambda x: max(0.0, min(6.0, x)),
        "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    }
    count = int(4000 * (1.0 + math.sqrt(q)))
    phi, width, total, step = functions[function], math.sqrt(q), 0.0, 18.0 / count
    for index in range(count):
        z = -9.0 + (index + 0.5) * step
        x = width * z
        h = 1e-6 * max(1.0, abs(x))
        value = phi(x) if of == "value" else (phi(x + h) - phi(x - h)) / (2.0 * h)
        total += step * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * value * value
    return total


@pytest.mark.parametrize("q", [0.01, 1.0, 30.0, 400.0])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu", "silu", "elu", "softsign"])
def test_smooth_expectations_agree_with_an_independent_integration(activation: str, q: float) -> None:
    assert gain_of(activation, q) == pytest.approx(midpoint(activation, q, "slope"), rel=2e-5, abs=1e-6)
    assert second_moment_of(activation, q) == pytest.approx(midpoint(activation, q, "value"), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("q", [0.04, 1.0, 25.0])
@pytest.mark.parametrize("activation", ["hardtanh", "hardswish", "relu6", "leaky_relu"])
def test_kinked_expectations_agree_with_an_independent_integration(activation: str, q: float) -> None:
    assert second_moment_of(activation, q) == pytest.approx(midpoint(activation, q, "value"), rel=1e-5)
    assert gain_of(activation, q) == pytest.approx(midpoint(activation, q, "slope"), rel=2e-3)


def test_exact_expectations() -> None:
    assert gain_of("relu", 3.0) == pytest.approx(0.5, abs=1e-12)
    assert second_moment_of("relu", 3.0) == pytest.approx(1.5, abs=1e-12)
    assert gain_of("leaky_relu", 7.0, slope=0.2) == pytest.approx(0.5 * (1 + 0.04), abs=1e-12)
    assert gain_of("identity", 7.0) == pytest.approx(1.0, abs=1e-12)
    assert gain_of("sigmoid", 0.0) == pytest.approx(1.0 / 16.0, abs=1e-9)
    assert gain_of("tanh", 0.0) == pytest.approx(1.0, abs=1e-9)
    assert gain_of("hardtanh", 1.0) == pytest.approx(math.erf(1.0 / math.sqrt(2.0)), abs=1e-9)
    assert second_moment_of("selu", 1.0) == pytest.approx(1.0, abs=1e-6)
    assert gain_of("no such activation", 1.0) is None
    assert not knows_activation("softmax")
    assert knows_activation("hardsigmoid")


# predicted sqrt(G) near the fixed point; geometric mean and end-to-end ratio measured at depth 10, 20, 50
TABLE = [
    ("sigmoid", 0.1414, (0.1402, 0.1408, 0.1413), (2e-8, 7e-17, 2e-42)),
    ("tanh", 0.5762, (0.556, 0.567, 0.573), (5e-3, 2e-5, 1e-12)),
    ("relu", 0.4082, (0.4080, 0.4084, 0.4067), (3e-4, 4e-8, 7e-20)),
    ("gelu", 0.289, (0.296, 0.293, 0.291), (2e-5, 7e-11, 5e-27)),
    ("silu", 0.289, (0.296, 0.293, 0.291), (2e-5, 7e-11, 5e-27)),
]


@pytest.mark.parametrize(("activation", "stationary", "measured", "ratios"), TABLE)
def test_default_initialisation(
    activation: str, stationary: float, measured: tuple[float, ...], ratios: tuple[float, ...]
) -> None:
    for depth, factor, ratio in zip((10, 20, 50), measured, ratios, strict=True):
        profile = predict(plain(activation, depth))
        assert profile.factor == pytest.approx(factor, rel=0.011)
        assert profile.decades is not None
        assert abs(profile.decades - math.log10(ratio)) < 0.18 + 2.0 * profile.spread
        assert profile.ratio == pytest.approx(10.0**profile.decades)
    assert predict(plain(activation, 50)).weights[-1].local == pytest.approx(stationary, abs=6e-4)


@pytest.mark.parametrize(
    ("activation", "init", "measured"), [("relu", HE, 0.997), ("tanh", XAVIER, 0.956), ("tanh", HE, 1.043)]
)
def test_fitting_initialisation_at_depth_50(activation: str, init: Init, measured: float) -> None:
    assert predict(plain(activation, 50, init, bias=None)).factor == pytest.approx(measured, rel=0.01)


def test_he_tanh_reaches_its_fixed_point() -> None:
    assert predict(plain("tanh", 50, HE, bias=None)).weights[-1].local == pytest.approx(1.051, abs=1e-3)


def test_convolutions() -> None:
    def gain(op: Weight) -> float | None:
        return predict([Weight("conv", 3, op.inputs), op]).layers[1].gain

    assert gain(Weight("conv", 16, 32, taps=9)) == pytest.approx(32 / (3 * 16))
    assert gain(Weight("conv", 16, 32, taps=9, stride=4)) == pytest.approx(32 / (3 * 16 * 4))
    assert gain(Weight("conv", 16, 16, taps=9, groups=16)) == pytest.approx(1 / 3)


def test_one_op_at_a_measured_input() -> None:
    assert gain_of_op(Activation("relu"), 5.0) == pytest.approx(0.5)
    assert gain_of_op(Weight("linear", 30, 60), None) == pytest.approx(60 / 90)
    assert gain_of_op(Norm("layer"), 5.0, mean=1.0) == pytest.approx(1 / 4)
    assert gain_of_op(Norm("batch"), 5.0) is None
    assert gain_of_op(Activation("relu"), math.nan) is None
    assert gain_of_op(Residual(0), 1.0) is None


def test_wrappers_of_a_layer() -> None:
    def gain(*ops: Op) -> float | None:
        return predict([Weight("linear", 64, 64), *ops, Weight("linear", 64, 64)]).layers[1].gain

    assert gain(Dropout(0.2)) == pytest.approx(1 / 0.8)
    assert gain(Pool("avg", 4)) == pytest.approx(1 / 16)
    assert gain(Pool("max", 4)) == pytest.approx(1 / 4)
    assert gain(Pool("max", None)) is None
    assert gain(Attention(tokens=32)) == pytest.approx(math.exp(0.25) * (1 / 6 + 1 / 12) / 32)
    assert gain(Norm("layer", gamma=2.0)) == pytest.approx(4.0 / predict([Weight("linear", 64, 64)]).layers[0].q)
    assert gain(Opaque()) is None


def test_residual_branch_adds_one() -> None:
    branch: list[Op] = [Weight("linear", 256, 256), Activation("relu"), Weight("linear", 256, 256, bias=None)]
    profile = predict([Weight("linear", 256, 256), *branch, Residual(start=1), Weight("linear", 256, 256, init=HE)])
    # G of the branch: 1/3 for each weight, 1/2 for relu; He backward gain 2
    assert profile.ratio == pytest.approx(math.sqrt(2.0 * (1.0 + 1.0 / 18.0)))


def test_linear_batch_norm_relu_explodes_slowly() -> None:
    ops: list[Op] = []
    for _ in range(10):
        ops += [Weight("linear", 256, 256, bias=None), Norm("batch"), Activation("relu")]
    assert predict(ops).weights[-1].local == pytest.approx(math.sqrt(math.pi / (math.pi - 1.0)), abs=1e-6)


def test_layer_norm_keeps_a_deep_sigmoid_stack_no_better_than_its_slope() -> None:
    ops: list[Op] = []
    for _ in range(10):
        ops += [Weight("linear", 256, 256), Norm("layer"), Activation("sigmoid")]
    profile = predict(ops)
    q = profile.weights[-1].q
    slope = gain_of("sigmoid", 1.0)
    assert q is not None
    assert slope is not None
    assert profile.weights[-1].local == pytest.approx(math.sqrt(slope / q / 3.0), rel=1e-6)


@pytest.mark.parametrize(
    ("cell", "factor", "within"),
    [
        (Recurrent("rnn_tanh"), 0.54, 0.01),
        (Recurrent("lstm"), 0.5 + 0.25 / math.sqrt(3.0), 1e-9),
        (Recurrent("gru"), 0.644, 1e-3),
        (Recurrent("lstm", forget_bias=1.0), 0.875, 1e-3),
    ],
)
def test_recurrent_factors(cell: Recurrent, factor: float, within: float) -> None:
    assert time_factor(cell) == pytest.approx(factor, abs=within)


def test_time_decades_counts_the_steps_between_first_and_last() -> None:
    assert time_decades(Recurrent("lstm", steps=101)) == pytest.approx(100 * math.log10(0.6443), abs=0.01)
    assert time_decades(Recurrent("lstm")) is None
    assert time_factor(Recurrent("something else")) is None


def test_cross_entropy_at_zero_logits() -> None:
    assert cross_entropy_start(10) == (pytest.approx(math.log(10)), pytest.approx(0.9))


def test_widths() -> None:
    unknown = [Weight("linear"), Activation("relu"), Weight("linear"), Activation("relu"), Weight("linear")]
    assert predict(unknown).factor == pytest.approx(math.sqrt(1 / 6))
    half_known = [Weight("linear", 8, 256), Activation("relu"), Weight("linear", None, 10)]
    assert predict(half_known).ratio == pytest.approx(math.sqrt(10 / 256 / 6))
    narrow = [Weight("linear", 8, None), Activation("relu"), Weight("linear", 256, 10)]
    assert predict(narrow).ratio == pytest.approx(math.sqrt(10 / 256 / 6))
    lost = [Weight("linear", 8, None), Activation("relu"), Weight("linear", None, 10)]
    assert predict(lost).ratio is None
    unscaled = [Weight("linear"), Activation("relu"), Weight("linear", init=Init("normal", std=0.02))]
    assert predict(unscaled).ratio is None


def test_initialisers() -> None:
    assert Init("default").variance(100, 50) == pytest.approx(1 / 300)
    assert Init("kaiming_uniform", slope=math.sqrt(5)).variance(100, 50) == pytest.approx(1 / 300)
    assert Init("xavier_uniform").variance(100, 50) == pytest.approx(2 / 150)
    assert Init("kaiming_normal", nonlinearity="relu", mode="fan_out").variance(16, 32, 9) == pytest.approx(2 / 288)
    assert Init("orthogonal", gain=2.0).variance(100, 50) == pytest.approx(4 / 100)
    assert Init("uniform", low=-0.3, high=0.3).variance(10, 10) == pytest.approx(0.03)
    assert Init("uniform", low=0.0, high=1.0).variance(10, 10) is None
    assert Init("trunc_normal", std=0.02).variance(10, 10) == pytest.approx(0.0004)
    assert Init("trunc_normal", std=1.0).variance(10, 10) == pytest.approx(0.7737, abs=1e-3)
    assert Init("zeros").variance(10, 10) == 0.0
    assert recommended_gain("tanh") == pytest.approx(5 / 3)
    assert recommended_gain("nothing") is None


def test_smallest_local_gain_finds_the_saturated_layer() -> None:
    ops = plain("tanh", 8, XAVIER)
    ops[6] = Weight("linear", 256, 256, init=Init("normal", std=10.0), name="loud")
    profile = predict(ops)
    assert profile.smallest is not None
    assert profile.smallest.name == "fc5"


def test_far_beyond_the_range_of_a_float() -> None:
    profile = predict(plain("sigmoid", 1000))
    assert profile.decades == pytest.approx(999 * math.log10(0.1414), rel=1e-3)
    assert profile.ratio == 0.0


def test_zero_weights_stop_the_gradient() -> None:
    ops: list[Op] = [Weight("linear", 8, 8), Activation("relu"), Weight("linear", 8, 8, init=Init("zeros"))]
    assert predict(ops).ratio == 0.0


def test_nothing_to_predict() -> None:
    assert predict([]).decades is None
    assert predict([]).smallest is None
    assert predict([Activation("relu")]).ratio is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.1e-7, "3·10⁻⁷"),
        (9.7e-7, "1·10⁻⁶"),
        (0.5, "0.5"),
        (0.0, "0"),
        (2.2e12, "2·10¹²"),
        (42.0, "42"),
        (-3e-7, "-3·10⁻⁷"),
    ],
)
def test_format_ratio(value: float, text: str) -> None:
    assert format_ratio(value) == text


def test_format_decades_below_the_smallest_float() -> None:
    assert format_decades(-849.3) == "5·10⁻⁸⁵⁰"
    assert format_decades(-math.inf) == "0"


@pytest.mark.parametrize("name", ["default", "xavier_normal", "kaiming_normal"])
def test_a_weight_without_inputs_or_outputs_has_no_variance(name: str) -> None:
    assert Init(name).variance(0, 4) is None
    assert Init(name).variance(4, 0) is None
