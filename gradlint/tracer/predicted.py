"""The closed form beside the measurement: what mean field theory predicts for a call that was measured.

The prediction uses the call's own width, initial weight scale and measured input, so it tells whether the gradient
behaves as theory says, not whether it is good.
"""

from __future__ import annotations

import math

from gradlint.facts.activations import knows_activation
from gradlint.facts.ops import Activation, Dropout, Init, Norm, Op, Pool, Weight
from gradlint.facts.signal import gain_of_op
from gradlint.tracer.schema import Node, Parameter, Setting


def predicted_gain(node: Node, before: Node | None, parameters: dict[str, Parameter]) -> float | None:
    """E[δ²] at the call's input over E[δ²] at its output by the closed form; None where there is none."""
    op = _op_of(node, parameters)
    if op is None:
        return None
    statistics = None if before is None else before["activation"]
    if statistics is None:
        return gain_of_op(op, None)
    return gain_of_op(op, statistics["second_moment"], statistics["mean"])


def _op_of(node: Node, parameters: dict[str, Parameter]) -> Op | None:
    settings, name = node["settings"], node["class_name"]
    kind = node["activation_kind"]
    kind = "logsigmoid" if kind == "log_sigmoid" else kind
    if kind is not None:
        return Activation(kind, _slope(settings)) if knows_activation(kind) else None
    matrix = next(
        (parameters[item] for item in node["parameters"] if item in parameters and len(parameters[item]["shape"]) >= 2),
        None,
    )
    if matrix is not None and matrix["initial_std"] is not None:
        return _weight(name, matrix, settings, node)
    if "Dropout" in name and isinstance(settings.get("p"), float | int):
        probability = settings["p"]
        return Dropout(float(probability)) if isinstance(probability, float | int) and node["training"] else None
    if name in ("LayerNorm", "RMSNorm", "GroupNorm"):
        return Norm({"LayerNorm": "layer", "RMSNorm": "rms", "GroupNorm": "group"}[name])
    if name.startswith(("MaxPool", "AvgPool")):
        taps = _product(settings.get("kernel_size"), 2 if name.endswith("2d") else 1)
        return Pool("max" if name.startswith("Max") else "avg", taps)
    return None


def _weight(name: str, matrix: Parameter, settings: dict[str, Setting], node: Node) -> Weight | None:
    init = Init("measured", std=matrix["initial_std"] or 0.0)
    shape = matrix["shape"]
    if name == "Linear":
        return Weight("linear", shape[1], shape[0], init=init)
    if name.startswith("Conv") and "Transpose" not in name:
        groups = settings.get("groups", 1)
        groups = groups if isinstance(groups, int) else 1
        stride = _positions_in_over_out(node) or _product(settings.get("stride"), len(shape) - 2)
        return Weight("conv", shape[1] * groups, shape[0], math.prod(shape[2:]), stride, groups, init)
    return None


def _positions_in_over_out(node: Node) -> float | None:
    """Positions of a convolution's input over those of its output: the square of the stride, but for the borders."""
    if not node["inputs"] or not node["outputs"]:
        return None
    before, after = math.prod(node["inputs"][0]["shape"][2:]), math.prod(node["outputs"][0]["shape"][2:])
    return before / after if before and after else None


def _slope(settings: dict[str, Setting]) -> float | None:
    value = settings.get("negative_slope", settings.get("alpha"))
    return float(value) if isinstance(value, float | int) else None


def _product(value: Setting, dimensions: int) -> float:
    """A kernel or stride setting, one number or one for each dimension, as a number of taps."""
    if isinstance(value, list):
        return float(math.prod(value))
    return float(value) ** dimensions if isinstance(value, int | float) else 1.0
