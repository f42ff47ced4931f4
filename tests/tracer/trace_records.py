"""Small records written by hand, in the shape that a worker brings back."""

from __future__ import annotations

from typing import Any

from gradlint.tracer.schema import Edge, Node, Parameter, TraceRecord, empty_record

SCRIPT = "/project/train.py"


def statistics(second_moment: float) -> Any:
    return {
        "count": 64,
        "sampled": 64,
        "mean": 0.0,
        "second_moment": second_moment,
        "zero_share": 0.0,
        "nonfinite": 0,
        "max_abs": 1.0,
    }


def node(order: int, name: str, kind: str, gradient: float | None, **more: Any) -> Node:
    """A leaf call built on line 10 + order; `gradient` is E[δ²] at its output."""
    given: dict[str, Any] = {
        "id": f"{name}#0",
        "round": 0,
        "order": order,
        "kind": "module",
        "fqn": name,
        "root": 0,
        "call": 0,
        "class_name": kind,
        "is_leaf": True,
        "parent": None,
        "constructed": {"file": SCRIPT, "line": 10 + order, "function": "<module>"},
        "called": {"file": SCRIPT, "line": 40, "function": "<module>"},
        "inputs": [],
        "outputs": [{"shape": [32, 64], "dtype": "float32", "requires_grad": True}],
        "training": True,
        "grad_enabled": True,
        "autocast": None,
        "recomputed": False,
        "settings": {},
        "parameters": [f"{name}.weight", f"{name}.bias"] if kind == "Linear" else [],
        "data": None,
        "activation": statistics(1.0),
        "activation_kind": None,
        "saturated_share": None,
        "dead_units": None,
        "units": None,
        "effective_rank": None,
        "output_gradient": None if gradient is None else statistics(gradient),
        "input_gradient": None,
        "local_gain": None,
        "backward": 0,
    }
    return {**given, **more}  # type: ignore[return-value]


def edge(source: str, target: str) -> Edge:
    return {
        "source": f"{source}#0",
        "target": f"{target}#0",
        "shape": [32, 64],
        "dtype": "float32",
        "differentiable": True,
    }


def parameter(name: str, shape: list[int], **more: Any) -> Parameter:
    given: dict[str, Any] = {
        "name": name,
        "root": 0,
        "aliases": [],
        "shape": shape,
        "dtype": "float32",
        "requires_grad": True,
        "is_leaf": True,
        "registered": True,
        "owners": [name.rpartition(".")[0]],
        "owner_class": "Linear",
        "nodes": [],
        "constructed": {"file": SCRIPT, "line": 10, "function": "<module>"},
        "optimizers": [0],
        "groups": [[0, 0]],
        "used": True,
        "called_without_grad": False,
        "reached": True,
        "initial_std": (1.0 / (3.0 * shape[-1])) ** 0.5,
        "initial_mean": 0.0,
        "initial_norm": 1.0,
        "fan_in": shape[-1],
        "fan_out": shape[0],
        "identical_rows": 0.0,
        "gradient_rank": 5.0,
        "identical_weight_rows": False,
        "zero_by_invariance": None,
        "steps": [],
    }
    return {**given, **more}  # type: ignore[return-value]


def chain(gradients: list[float]) -> TraceRecord:
    """A record of linear layers in a row with a sigmoid after each but the last."""
    record = empty_record(SCRIPT, [])
    before = None
    for index, gradient in enumerate(gradients):
        name = f"fc{index + 1}"
        record["nodes"].append(node(2 * index, name, "Linear", gradient, local_gain=1.0 / 3.0))
        record["parameters"].append(parameter(f"{name}.weight", [64, 64]))
        record["parameters"].append(parameter(f"{name}.bias", [64]))
        if before is not None:
            record["edges"].append(edge(before, name))
        before = name
        if index + 1 < len(gradients):
            record["nodes"].append(
                node(2 * index + 1, f"act{index + 1}", "Sigmoid", gradient, activation_kind="sigmoid", local_gain=0.06)
            )
            record["edges"].append(edge(name, f"act{index + 1}"))
            before = f"act{index + 1}"
    return record
