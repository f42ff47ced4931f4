"""Pictures of a trace with matplotlib: gradient flow over the layers, and the TraceGraph coloured by log10 gradient."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import networkx

from gradlint.errors import MissingExtraError, TraceError
from gradlint.tracer.graph import Layer, TraceGraph, colour_of
from gradlint.tracer.outcome import Outcome
from gradlint.tracer.report.terminal import marked_culprit

MOST_LABELS = 60


def draw(outcome: Outcome, path: str) -> None:
    """Write both pictures into one PNG or SVG file.

    Raises MissingExtraError without matplotlib, TraceError for another suffix, a path that cannot be written, or a
    trace without a measured gradient.
    """
    suffix = path.rpartition(".")[2].lower()
    if suffix not in ("png", "svg"):
        raise TraceError(f"cannot draw {path}: the name must end in .png or .svg")
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("--plot needs matplotlib: install gradlint with the extra `trace`") from None
    layers = [layer for layer in outcome.graph.layers() if layer.decades is not None]
    if not layers:
        raise TraceError("there is nothing to draw: no gradient was measured")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 9, "svg.fonttype": "none"}):
        height = max(5.0, min(40.0, max(0.24 * len(layers), 0.16 * _depth(outcome.graph)) + 1.6))
        figure = Figure(figsize=(13.0, height), layout="constrained")
        FigureCanvasAgg(figure)
        flow, picture = figure.subplots(1, 2, width_ratios=(1.25, 1.0))
        number = outcome.graph.network.graph["round"] + 1
        name = os.path.basename(outcome.record["script"])
        figure.suptitle(f"{name}: gradient of the loss, OptimizerStep {number}", fontsize=12)
        _flow(flow, layers, outcome.graph)
        _graph(picture, outcome.graph)
        try:
            figure.savefig(path, dpi=130)
        except OSError as error:
            raise TraceError(f"cannot write {path}: {error.strerror}") from error


def _flow(axes: Any, layers: Sequence[Layer], graph: TraceGraph) -> None:
    """Layers from the input (top) to the loss (bottom), amplitude on the horizontal axis in decades."""
    rows = range(len(layers))
    values = [layer.decades if layer.decades is not None else math.nan for layer in layers]
    axes.axvline(0.0, color="#999999", linewidth=0.8)
    axes.barh(
        rows, values, color=[colour_of(value) for value in values], edgecolor="#666666", linewidth=0.4, height=0.72
    )
    predicted = predicted_decades(graph, layers)
    known = [(value, row) for row, value in enumerate(predicted) if value is not None]
    if 2 * len(known) <= len(layers):
        known = []
    if known:
        axes.plot(
            [value for value, _ in known],
            [row for _, row in known],
            "k--o",
            markersize=3,
            linewidth=1,
            label="predicted",
        )
        axes.legend(loc="lower left", frameon=False)
    culprit = marked_culprit(graph)
    marked = False
    for row, layer in enumerate(layers):
        if culprit is not None and layer.id == culprit.id:
            marked = True
            axes.annotate(
                f"smallest local gain: {culprit.norm_gain or 0.0:.2g}",
                (max(0.0, values[row]), row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color="#b2182b",
                fontweight="bold",
            )
    low, high = min(*values, -1.0, *(v for v, _ in known)), max(*values, 1.0, *(v for v, _ in known))
    axes.set_xlim(low - 0.06 * (high - low), high + (0.3 if marked else 0.06) * (high - low))
    axes.set_ylim(len(layers) - 0.4, -0.6)
    step = max(1, math.ceil(len(layers) / (2 * MOST_LABELS)))
    axes.set_yticks(list(rows)[::step], [_label(layer) for layer in layers][::step])
    axes.set_xlabel("log10 of gradient amplitude at the layer's output, relative to the last weight layer")
    axes.set_title("gradient flow: measured (bars)" + (" and predicted" if known else ""))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _graph(axes: Any, graph: TraceGraph) -> None:
    """One pass, from the input (top) to the loss; edges past a level, such as residual ones, are bowed."""
    network = _one_pass(graph.network)
    levels = _levels(network)
    places = _positions(network, levels)
    labelled = len(network) <= MOST_LABELS
    size = 30 if not labelled else 180 if max(levels.values(), default=0) < 25 else 70
    straight = [(a, b) for a, b in network.edges if levels[b] - levels[a] == 1]
    bowed = [(a, b) for a, b in network.edges if levels[b] - levels[a] != 1]
    for edges, style in ((straight, "arc3"), (bowed, "arc3,rad=0.4")):
        networkx.draw_networkx_edges(
            network,
            places,
            ax=axes,
            edgelist=edges,
            arrows=True,
            arrowsize=7,
            width=0.8,
            edge_color="#777777",
            node_size=size,
            connectionstyle=style,
        )
    networkx.draw_networkx_nodes(
        network,
        places,
        ax=axes,
        node_size=size,
        node_color=[colour_of(data.get("decades")) for _, data in network.nodes(data=True)],
        edgecolors=["#000000" if data.get("is_weight") else "#999999" for _, data in network.nodes(data=True)],
        linewidths=0.8,
    )
    for node, data in network.nodes(data=True):
        if labelled or data.get("is_weight"):
            name = data["name"] or data["class_name"]
            if name != data["class_name"] and (data["kind"] == "function" or name.rpartition(".")[2].isdigit()):
                name = f"{name} {data['class_name']}"
            axes.annotate(
                name,
                places[node],
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                fontsize=8 if labelled else 6,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.4},
            )
    axes.set_title("TraceGraph: blue = smaller, red = larger gradient")
    axes.margins(x=0.25, y=0.03)
    axes.set_axis_off()


def _one_pass(network: networkx.DiGraph) -> networkx.DiGraph:
    """The calls of the first pass that are joined to others."""
    shown = network.subgraph([node for node, data in network.nodes(data=True) if data["in_first_pass"]])
    joined = [node for node in shown if shown.degree(node) or len(shown) == 1]
    return shown.subgraph(joined)


def predicted_decades(graph: TraceGraph, layers: Sequence[Layer]) -> list[float | None]:
    """The closed form's log10 amplitude at each layer's output, from the last weight back along a chain."""
    values: list[float | None] = [None] * len(layers)
    last = max((index for index, layer in enumerate(layers) if layer.is_weight), default=-1)
    if last < 0:
        return values
    values[last] = 0.0
    for index in range(last - 1, -1, -1):
        after, gain = values[index + 1], layers[index + 1].predicted
        if after is None or not gain or not graph.network.has_edge(layers[index].id, layers[index + 1].id):
            break
        values[index] = after + math.log10(gain)
    return values


def _levels(network: networkx.DiGraph) -> dict[str, int]:
    """Length of the longest path from an input."""
    level: dict[str, int] = {}
    for node in networkx.topological_sort(network) if networkx.is_directed_acyclic_graph(network) else network:
        level[node] = 1 + max((level.get(before, -1) for before in network.predecessors(node)), default=-1)
    return level


def _positions(network: networkx.DiGraph, levels: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Rows by level, columns by order of execution."""
    rows: dict[int, list[str]] = {}
    for node in sorted(network, key=lambda name: network.nodes[name]["order"]):
        rows.setdefault(levels[node], []).append(node)
    return {
        node: (column - (len(members) - 1) / 2.0, -float(level))
        for level, members in rows.items()
        for column, node in enumerate(members)
    }


def _depth(graph: TraceGraph) -> int:
    return max(_levels(_one_pass(graph.network)).values(), default=0) + 1


def _label(layer: Layer) -> str:
    return layer.class_name if layer.name == layer.class_name else f"{layer.name} {layer.class_name}"
