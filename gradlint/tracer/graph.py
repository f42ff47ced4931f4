"""TraceGraph: the calls of one round as a networkx DiGraph with named attributes, and back from JSON without torch.

Node attributes (absent where they were not measured): kind, name, class_name, order, file, line (constructor),
called_file, called_line, shape, dtype, activation_mean, activation_second_moment, zero_share, saturated_share,
gradient_second_moment (of the loss with respect to the output), decades (log10 of gradient amplitude relative to the
last weight call), local_gain and predicted_gain (E[δ²] at the input over E[δ²] at the output), norm_gain (‖δ‖ at the
input over ‖δ‖ at the output), parameter_gradient_norm, weight_norm, update_ratio, nonfinite, zero_by_invariance.
Edge attributes: shape, dtype, differentiable.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import networkx

from gradlint.errors import TraceError
from gradlint.tracer.evidence import Evidence, amplitude, norm_gain
from gradlint.tracer.predicted import predicted_gain
from gradlint.tracer.schema import Node, TraceRecord

FORMAT = "gradlint-tracegraph"
VERSION = 1

Attributes: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One call as the report shows it; gains are amplitudes (square roots of the factors on E[δ²])."""

    id: str
    name: str
    class_name: str
    place: str
    decades: float | None
    gain: float | None
    norm_gain: float | None
    predicted: float | None
    is_weight: bool
    root: int
    saturated: float | None
    is_silent: bool
    """Whether the gradient at its output was measured and is exactly 0."""


@dataclass(frozen=True, slots=True)
class Span:
    """First and last weight call of one network; decades: log10 of gradient amplitude at the first over the last."""

    first: Layer
    last: Layer
    decades: float


class TraceGraph:
    """The calls of one round and the tensors that flowed between them; `network` is the networkx DiGraph."""

    def __init__(self, network: networkx.DiGraph) -> None:
        self.network = network

    @classmethod
    def of(cls, record: TraceRecord, round: int = 0) -> TraceGraph:
        """The TraceGraph of one round of a record: leaf module calls and the functions between them."""
        evidence = Evidence(record)
        nodes = sorted(
            (node for node in record["nodes"] if node["round"] == round and node["is_leaf"]),
            key=lambda node: node["order"],
        )
        network = networkx.DiGraph(script=record["script"], round=round)
        known = {node["id"]: node for node in nodes}
        sources: dict[str, Node] = {}
        for edge in record["edges"]:
            if edge["source"] in known and edge["target"] in known:
                sources.setdefault(edge["target"], known[edge["source"]])
        shown = evidence.first_pass(round)
        weights = {node["id"] for node in evidence.weight_nodes(round)}
        last = {chain[-1]["root"]: amplitude(chain[-1]) for chain in evidence.chains(round)}
        fallback = next(iter(last.values()), None)
        for node in nodes:
            attributes = _attributes(node, evidence)
            gain = predicted_gain(node, sources.get(node["id"]), evidence.parameters)
            _put(attributes, "predicted_gain", gain)
            here, reference = amplitude(node), last.get(node["root"], fallback)
            if here is not None and reference is not None:
                attributes["decades"] = math.log10(here) - math.log10(reference)
            attributes["is_weight"] = node["id"] in weights
            attributes["in_first_pass"] = node["id"] in shown
            network.add_node(node["id"], **attributes)
        for edge in record["edges"]:
            if edge["source"] in known and edge["target"] in known:
                tensor: Attributes = {"differentiable": edge["differentiable"]}
                _put(tensor, "shape", None if edge["shape"] is None else _shape(edge["shape"]))
                _put(tensor, "dtype", edge["dtype"])
                network.add_edge(edge["source"], edge["target"], **tensor)
        return cls(network)

    def to_json(self) -> str:
        """The whole TraceGraph as versioned JSON; `from_json` gives the same back."""
        return json.dumps(self.to_data(), ensure_ascii=False, allow_nan=False)

    def to_data(self) -> Attributes:
        """Format, version, script, round, and lists of nodes and edges with their attributes; numbers are finite."""
        return {
            "format": FORMAT,
            "version": VERSION,
            **self.network.graph,
            "nodes": [{"id": node, **_finite(data)} for node, data in self.network.nodes(data=True)],
            "edges": [{"source": a, "target": b, **_finite(data)} for a, b, data in self.network.edges(data=True)],
        }

    @classmethod
    def from_json(cls, text: str) -> TraceGraph:
        """Read what `to_json` wrote.

        Raises TraceError if the text is not a TraceGraph of a version that this gradlint reads.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise TraceError(f"not a TraceGraph: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise TraceError("not a TraceGraph: the JSON has no format gradlint-tracegraph")
        if data.get("version") != VERSION:
            raise TraceError(f"a TraceGraph of version {data.get('version')}; this gradlint reads version {VERSION}")
        network = networkx.DiGraph(script=data["script"], round=data["round"])
        for node in data["nodes"]:
            network.add_node(node.pop("id"), **_unfinite(node))
        for edge in data["edges"]:
            network.add_edge(edge.pop("source"), edge.pop("target"), **_unfinite(edge))
        return cls(network)

    def save(self, path: str) -> None:
        """Write JSON, GraphML or DOT, by the file's suffix. Raises TraceError for any other suffix."""
        suffix = path.rpartition(".")[2].lower()
        if suffix == "json":
            text = self.to_json() + "\n"
        elif suffix == "graphml":
            text = "\n".join(networkx.generate_graphml(self.network)) + "\n"
        elif suffix in ("dot", "gv"):
            text = self.to_dot()
        else:
            raise TraceError(f"cannot save a TraceGraph as {path}: the name must end in .json, .graphml or .dot")
        try:
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(text)
        except OSError as error:
            raise TraceError(f"cannot write {path}: {error.strerror}") from error

    @classmethod
    def load(cls, path: str) -> TraceGraph:
        """Read a TraceGraph saved as JSON or GraphML. Raises TraceError if it cannot."""
        try:
            if path.endswith(".graphml"):
                network = networkx.read_graphml(path)
                network.graph = {key: network.graph[key] for key in ("script", "round") if key in network.graph}
                return cls(network)
            with open(path, encoding="utf-8") as handle:
                return cls.from_json(handle.read())
        except OSError as error:
            raise TraceError(f"cannot read {path}: {error.strerror}") from error

    def to_dot(self) -> str:
        """Graphviz source, nodes coloured by log10 gradient: blue vanishing, white even, red exploding."""
        lines = ["digraph TraceGraph {", "  rankdir=TB;", '  node [shape=box, style=filled, fontname="Helvetica"];']
        for node, data in self.network.nodes(data=True):
            label = [str(data["name"] or data["class_name"]), str(data["class_name"])]
            if "decades" in data:
                label.append(f"10^{data['decades']:.1f}")
            colour = colour_of(data.get("decades"))
            lines.append(f'  {_quoted(node)} [label={_quoted(chr(10).join(label))}, fillcolor="{colour}"];')
        for source, target, data in self.network.edges(data=True):
            style = "" if data.get("differentiable", True) else ", style=dashed"
            lines.append(f"  {_quoted(source)} -> {_quoted(target)} [label={_quoted(data.get('shape', ''))}{style}];")
        return "\n".join([*lines, "}"]) + "\n"

    def layers(self) -> list[Layer]:
        """Calls worth a line in a report, in forward order: one pass through modules and activations, no losses."""
        return [
            _layer(node, data)
            for node, data in sorted(self.network.nodes(data=True), key=lambda item: item[1]["order"])
            if data["in_first_pass"] and _is_layer(data)
        ]

    def culprit(self) -> Layer | None:
        """The layer or activation that shrinks the gradient's norm most; None if none was measured.

        Where the gradient is cut off does not show in cumulative ratios when a later layer amplifies what is left.
        """
        candidates = [
            _layer(node, data)
            for node, data in self.network.nodes(data=True)
            if data["in_first_pass"]
            and data.get("norm_gain") is not None
            and (data.get("is_weight") or data.get("is_activation"))
        ]
        return min(candidates, key=lambda layer: layer.norm_gain or 0.0, default=None)

    def vanished(self, decades: float = 4.0) -> Iterator[Layer]:
        """Weights whose gradient amplitude is at least so many decades below the last one's.

        Parameters whose gradient is zero by invariance (a bias before a normalisation) never count.
        """
        for node, data in self.network.nodes(data=True):
            if (
                data.get("is_weight")
                and data["in_first_pass"]
                and "zero_by_invariance" not in data
                and data.get("decades", 0.0) <= -decades
            ):
                yield _layer(node, data)

    def spans(self) -> list[Span]:
        """For every network with at least two weight calls, its first, its last, and the decades between them."""
        networks: dict[int, list[Layer]] = {}
        for layer in self.layers():
            if layer.is_weight and layer.decades is not None:
                networks.setdefault(layer.root, []).append(layer)
        return [
            Span(weights[0], weights[-1], (weights[0].decades or 0.0) - (weights[-1].decades or 0.0))
            for weights in networks.values()
            if len(weights) > 1
        ]


def colour_of(decades: float | None) -> str:
    """Hex colour of a gradient's log10 relative to the last layer: blue from -6 down, white at 0, red from +6 up."""
    if decades is None or not math.isfinite(decades):
        return "#eeeeee"
    share = min(1.0, abs(decades) / 6.0)
    end = (33, 102, 172) if decades < 0.0 else (178, 24, 43)
    return "#" + "".join(f"{round(255 + (channel - 255) * share):02x}" for channel in end)


def _attributes(node: Node, evidence: Evidence) -> Attributes:
    data: Attributes = {
        "kind": node["kind"],
        "name": node["fqn"],
        "class_name": node["class_name"],
        "order": node["order"],
        "root": node["root"],
        "is_activation": node["activation_kind"] is not None,
        "has_parameters": bool(node["parameters"]),
    }
    for prefix, place in (("", node["constructed"]), ("called_", node["called"])):
        if place is not None:
            data[f"{prefix}file"], data[f"{prefix}line"] = place["file"], place["line"]
    if node["outputs"]:
        data["shape"], data["dtype"] = _shape(node["outputs"][0]["shape"]), node["outputs"][0]["dtype"]
    statistics, gradient = node["activation"], node["output_gradient"]
    if statistics is not None:
        data["activation_mean"], data["activation_second_moment"] = statistics["mean"], statistics["second_moment"]
        data["zero_share"], data["nonfinite"] = statistics["zero_share"], statistics["nonfinite"]
    _put(data, "saturated_share", node["saturated_share"])
    if gradient is not None:
        data["gradient_second_moment"] = gradient["second_moment"]
        data["nonfinite"] = data.get("nonfinite", 0) + gradient["nonfinite"]
    _put(data, "local_gain", node["local_gain"])
    _put(data, "norm_gain", norm_gain(node))
    own = [evidence.parameters[name] for name in node["parameters"] if name in evidence.parameters]
    steps = [step for parameter in own for step in parameter["steps"] if step["round"] == node["round"]]
    gradients = [step["grad_norm"] for step in steps if step["grad_norm"] is not None]
    if steps:
        data["weight_norm"] = math.sqrt(sum(step["weight_norm"] ** 2 for step in steps))
        if data["weight_norm"] > 0.0:
            data["update_ratio"] = math.sqrt(sum(step["update_norm"] ** 2 for step in steps)) / data["weight_norm"]
    if gradients:
        data["parameter_gradient_norm"] = math.sqrt(sum(value**2 for value in gradients))
    reasons = [parameter["zero_by_invariance"] for parameter in own]
    if own and all(reasons):
        data["zero_by_invariance"] = reasons[0]
    return data


def _is_layer(data: Attributes) -> bool:
    if data["kind"] == "function":
        return bool(data["is_activation"]) and (data["name"] != "" or data["class_name"] != "LogSoftmax")
    is_loss = data["class_name"].endswith("Loss")
    return not is_loss and bool(data["is_weight"] or data["has_parameters"] or "local_gain" in data)


def _layer(node: str, data: Attributes) -> Layer:
    place = f"{data['file']}:{data['line']}" if "file" in data else ""
    if not place and "called_file" in data:
        place = f"{data['called_file']}:{data['called_line']}"
    return Layer(
        node,
        data["name"] or data["class_name"],
        data["class_name"],
        place,
        data.get("decades"),
        _root(data.get("local_gain")),
        data.get("norm_gain"),
        _root(data.get("predicted_gain")),
        bool(data.get("is_weight")),
        int(data["root"]),
        data.get("saturated_share"),
        data.get("gradient_second_moment") == 0.0,
    )


def _root(value: float | None) -> float | None:
    return None if value is None or not value >= 0.0 else math.sqrt(value)


def _put(data: Attributes, key: str, value: object) -> None:
    """networkx cannot write None to GraphML, so what is not known is left out."""
    if value is not None:
        data[key] = value


def _shape(shape: list[int]) -> str:
    return "×".join(str(size) for size in shape)


def _finite(data: Attributes) -> Attributes:
    """JSON has no NaN: such numbers travel as the strings nan, inf and -inf."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in data.items()
    }


def _unfinite(data: Attributes) -> Attributes:
    numbers = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
    names = ("name", "class_name", "shape", "dtype", "kind", "file", "called_file", "zero_by_invariance")
    return {
        key: numbers.get(value, value) if isinstance(value, str) and key not in names else value
        for key, value in data.items()
    }


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
