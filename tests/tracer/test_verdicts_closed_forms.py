"""Ground truth: gradients measured by the tracer at float64, seed fixed, against the closed forms of mean field theory.

The geometric mean of the amplitude gain a layer, and the ratio of first to last, over plain stacks of width 256.
"""

from __future__ import annotations

import math

import pytest
from tracing import trace

from gradlint.facts.ops import DEFAULT, Activation, Init, Op, Weight
from gradlint.facts.signal import predict
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.measure import Decay, decay

# published measurements: amplitude gain a layer at depth 10, 20, 50, and first over last
TABLE = {
    "sigmoid": ((0.1402, 0.1408, 0.1413), (2e-8, 7e-17, 2e-42)),
    "tanh": ((0.556, 0.567, 0.573), (5e-3, 2e-5, 1e-12)),
    "relu": ((0.4080, 0.4084, 0.4067), (3e-4, 4e-8, 7e-20)),
    "gelu": ((0.296, 0.293, 0.291), (2e-5, 7e-11, 5e-27)),
    "silu": ((0.296, 0.293, 0.291), (2e-5, 7e-11, 5e-27)),
}
FITTING = {"he_relu_50": 0.997, "xavier_tanh_50": 0.956, "he_tanh_50": 1.043}
INIT = {"he": Init("kaiming_normal", nonlinearity="relu"), "xavier": Init("xavier_normal")}


@pytest.fixture(scope="module")
def measured() -> dict[str, Decay]:
    evidence = Evidence(trace("closed_forms.py"))
    stacks: dict[str, list[object]] = {}
    for node in evidence.weight_nodes():
        stacks.setdefault(node["fqn"].partition(".")[0], []).append(node)
    found = {name: decay(chain) for name, chain in stacks.items()}  # type: ignore[arg-type]
    assert len(found) == 18
    return {name: item for name, item in found.items() if item is not None}


@pytest.mark.parametrize("index", [0, 1, 2], ids=["10", "20", "50"])
@pytest.mark.parametrize("activation", TABLE)
def test_default_initialisation(measured: dict[str, Decay], activation: str, index: int) -> None:
    depth = (10, 20, 50)[index]
    found = measured[f"{activation}_{depth}"]
    factors, ratios = TABLE[activation]
    prediction = predict(stack(activation, depth))
    assert found.layers == depth
    assert found.factor == pytest.approx(factors[index], rel=0.02)
    assert found.factor == pytest.approx(prediction.factor, rel=0.02)
    assert abs(found.decades - math.log10(ratios[index])) < 0.3 + 3.0 * prediction.spread


@pytest.mark.parametrize("name", FITTING)
def test_fitting_initialisation(measured: dict[str, Decay], name: str) -> None:
    init, activation, depth = name.split("_")
    prediction = predict(stack(activation, int(depth), INIT[init], None))
    assert measured[name].factor == pytest.approx(FITTING[name], rel=0.025)
    assert measured[name].factor == pytest.approx(prediction.factor, rel=0.025)


def stack(activation: str, depth: int, init: Init | None = None, bias: Init | None = DEFAULT) -> list[Op]:
    ops: list[Op] = []
    for _ in range(depth):
        ops += [Weight("linear", 256, 256, init=init or DEFAULT, bias=bias), Activation(activation)]
    return ops
