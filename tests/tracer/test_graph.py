"""TraceGraph: what it holds, and that it survives every file format."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("networkx")

from trace_records import chain, edge, node, parameter

from gradlint.errors import TraceError
from gradlint.tracer.graph import TraceGraph, colour_of


def test_nodes_and_edges_carry_named_attributes() -> None:
    graph = TraceGraph.of(chain([1e-12, 1e-6, 1.0]))
    assert list(graph.network) == ["fc1#0", "act1#0", "fc2#0", "act2#0", "fc3#0"]
    first = graph.network.nodes["fc1#0"]
    assert (first["name"], first["class_name"], first["line"], first["shape"]) == ("fc1", "Linear", 10, "32×64")
    assert first["decades"] == pytest.approx(-6.0)
    assert first["predicted_gain"] == pytest.approx(1 / 3)
    assert graph.network.edges["fc1#0", "act1#0"]["dtype"] == "float32"


def test_predicted_gain_of_a_sigmoid_at_its_measured_input() -> None:
    graph = TraceGraph.of(chain([1.0, 1.0]))
    # E[σ'(z)²] for a standard normal z, by the midpoint rule
    total = sum(
        math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) * (1 / (2 + math.exp(z) + math.exp(-z))) ** 2 * 0.01
        for z in ((index + 0.5) * 0.01 - 8 for index in range(1600))
    )
    assert graph.network.nodes["act1#0"]["predicted_gain"] == pytest.approx(total, rel=1e-4)


def test_total_and_vanished() -> None:
    graph = TraceGraph.of(chain([1e-12, 1e-6, 1.0]))
    [span] = graph.spans()
    assert (span.first.name, span.last.name) == ("fc1", "fc3")
    assert span.decades == pytest.approx(-6.0)
    assert [layer.name for layer in graph.vanished()] == ["fc1"]
    assert [layer.name for layer in graph.vanished(decades=3.0)] == ["fc1", "fc2"]


def test_zero_by_invariance_never_counts_as_vanished() -> None:
    record = chain([1e-20, 1.0])
    record["parameters"][0]["zero_by_invariance"] = record["parameters"][1]["zero_by_invariance"] = "padding row"
    assert list(TraceGraph.of(record).vanished()) == []


def test_two_networks_are_told_apart() -> None:
    record = chain([1e-12, 1.0])
    other = chain([1e-4, 1.0])
    for item in other["nodes"]:
        item.update(id=f"g:{item['id']}", fqn=f"g:{item['fqn']}", root=1, order=item["order"] + 10)
    record["nodes"] += other["nodes"]
    for item in other["nodes"]:
        item["parameters"] = record["nodes"][0]["parameters"] if item["class_name"] == "Linear" else []
    spans = TraceGraph.of(record).spans()
    assert [round(span.decades) for span in spans] == [-6, -2]


def test_of_several_passes_the_first_is_shown() -> None:
    record = chain([1e-12, 1.0])
    again = chain([1e-2, 1.0])
    for item in again["nodes"]:
        item.update(id=f"{item['fqn']}#1", call=1, backward=1, order=item["order"] + 10)
    record["nodes"] += again["nodes"]
    graph = TraceGraph.of(record)
    assert [layer.id for layer in graph.layers()] == ["fc1#0", "act1#0", "fc2#0"]
    assert len(graph.network) == 6


def test_culprit_is_the_smallest_local_gain_not_the_smallest_gradient() -> None:
    record = chain([1.0, 1.0, 1.0])
    record["nodes"][3]["local_gain"] = 5e-6
    culprit = TraceGraph.of(record).culprit()
    assert culprit is not None
    assert culprit.name == "act2"
    assert culprit.gain == pytest.approx(math.sqrt(5e-6))


def test_pooling_is_no_culprit() -> None:
    record = chain([1.0, 1.0])
    record["nodes"].insert(1, node(1, "pool", "AdaptiveAvgPool2d", 1.0, local_gain=1e-9))
    record["edges"].append(edge("fc1", "pool"))
    culprit = TraceGraph.of(record).culprit()
    assert culprit is not None
    assert culprit.name == "act1"


def test_json_round_trip_is_exact() -> None:
    record = chain([1e-12, 1.0])
    record["nodes"][0]["activation"]["second_moment"] = math.inf  # type: ignore[index]
    graph = TraceGraph.of(record)
    text = graph.to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    again = TraceGraph.from_json(text)
    assert dict(again.network.nodes(data=True)) == dict(graph.network.nodes(data=True))
    assert list(again.network.edges(data=True)) == list(graph.network.edges(data=True))
    assert again.to_json() == text


@pytest.mark.parametrize("suffix", ["json", "graphml"])
def test_saved_files_load_back(tmp_path: Path, suffix: str) -> None:
    graph = TraceGraph.of(chain([1e-12, 1e-6, 1.0]))
    path = str(tmp_path / f"graph.{suffix}")
    graph.save(path)
    again = TraceGraph.load(path)
    assert set(again.network) == set(graph.network)
    assert [layer.decades for layer in again.layers()] == pytest.approx([layer.decades for layer in graph.layers()])
    assert again.culprit() == graph.culprit()


def test_dot_names_every_node_and_edge(tmp_path: Path) -> None:
    record = chain([1.0, 1.0])
    record["nodes"][0]["fqn"] = 'odd"name'
    path = tmp_path / "graph.dot"
    TraceGraph.of(record).save(str(path))
    text = path.read_text("utf-8")
    assert text.startswith("digraph TraceGraph {")
    assert text.count(" -> ") == 2
    assert 'odd\\"name' in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a TraceGraph"),
        ("[]", "no format"),
        ('{"format": "gradlint-tracegraph", "version": 99}', "version 99"),
    ],
)
def test_other_files_are_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        TraceGraph.from_json(text)


def test_unknown_suffix_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"must end in \.json, \.graphml or \.dot"):
        TraceGraph.of(chain([1.0, 1.0])).save(str(tmp_path / "graph.png"))
    with pytest.raises(TraceError, match="No such file"):
        TraceGraph.load(str(tmp_path / "absent.json"))


def test_frozen_and_unmeasured_calls_stay_in_the_graph() -> None:
    record = chain([1.0, 1.0])
    record["nodes"].append(node(9, "frozen", "Linear", None, grad_enabled=False))
    record["parameters"].append(parameter("frozen.weight", [4, 4], requires_grad=False))
    graph = TraceGraph.of(record)
    assert "frozen#0" in graph.network
    assert "decades" not in graph.network.nodes["frozen#0"]


def test_colours_run_from_blue_over_white_to_red() -> None:
    assert colour_of(0.0) == "#ffffff"
    assert colour_of(-6.0) == colour_of(-40.0) == "#2166ac"
    assert colour_of(7.0) == "#b2182b"
    assert colour_of(None) == "#eeeeee"


def test_reading_a_graph_needs_no_torch() -> None:
    code = "import sys; import gradlint.tracer.graph; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
