"""Scripts as users have them: notebooks saved as scripts, missing packages and arguments, several files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tracing import python, trace_in_child

from gradlint import cli
from gradlint.tracer.command import Static, main
from gradlint.tracer.outcome import join
from gradlint.tracer.report.terminal import render
from gradlint.tracer.schema import TraceRecord
from gradlint.tracer.verdicts import awaited

TRAIN = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
    optimizer.step()
"""


def traced(folder: Path, source: str, **options: object) -> TraceRecord:
    script = folder / "train.py"
    script.write_text(source, "utf-8")
    return trace_in_child(script, **options)


def test_a_notebook_saved_as_a_script_finds_its_shell(tmp_path: Path) -> None:
    library = tmp_path / "site-packages" / "board.py"
    library.parent.mkdir()
    asks = "try:\n    get_ipython()\n    notebook = True\nexcept NameError:\n    notebook = False\n"
    library.write_text(asks, "utf-8")
    head = f"import sys\nsys.path.append({str(library.parent)!r})\nimport board\nassert not board.notebook\n"
    record = traced(tmp_path, "get_ipython().run_line_magic('matplotlib', 'inline')\n" + head + TRAIN)
    assert (record["strategy"], record["steps"]) == ("run", 3)
    assert any("get_ipython" in item["message"] for item in record["assumptions"])


def test_a_library_that_lacks_its_own_dependency_is_stood_in_for(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "board"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import a_backend_that_nobody_has\n\nclass Writer: ...\n", "utf-8")
    head = f"import sys\nsys.path.append({str(tmp_path / 'site-packages')!r})\nfrom board import Writer\nWriter('x')\n"
    record = traced(tmp_path, head + TRAIN)
    assert (record["strategy"], record["steps"]) == ("run", 3), record["stderr"]
    assert any(item["message"].startswith("board not installed") for item in record["assumptions"])


def test_why_a_network_was_built_is_said(tmp_path: Path) -> None:
    source = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--data', required=True)\np.parse_args()\n"
    record = traced(tmp_path, source + TRAIN)
    assert record["strategy"] == "build"
    text = render(join(record, [], {}.get))
    assert "network built without the script's loop" in text
    [told] = [item["message"] for item in record["assumptions"] if "made no training step" in item["message"]]
    assert told.startswith("the script itself made no training step: train.py:4: the script ended with sys.exit(2)")
    assert "the following arguments are required: --data (the script's own arguments go after `--`)" in told


def test_a_run_that_waits_is_compared_with_a_bare_one_of_as_many_steps(tmp_path: Path) -> None:
    waits = tuple(awaited(rule for rule in ["missing-zero-grad", "aliased-state-dict", "train-mode-not-restored"]))
    assert set(waits) == {"evaluation", "state-dict"}
    source = (
        TRAIN.replace("range(5)", "range(12)")
        + "    if _ == 6:\n        model.eval()\n        kept = model.state_dict()\n"
    )
    record = traced(tmp_path, source, awaited=waits, verify=True)
    assert record["steps"] > 6
    assert record["verification"] is not None
    assert record["verification"]["differences"] == []
    assert "states after the last step are those of an untraced run" in render(join(record, [], {}.get))


def test_a_notebook_is_traced_cell_by_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        "%matplotlib inline\nimport torch\nfrom torch import nn",
        "!pip list\nmodel = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))\n\n"
        "torch.nn.init.constant_(model[0].bias, -50.0)\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)",
        "x, y = torch.randn(32, 4), torch.randint(0, 2, (32,))\nfor _ in range(5):\n"
        "    loss = nn.functional.cross_entropy(model(x), y)\n    loss.backward()\n    optimizer.step()",
    ]
    notebook = tmp_path / "train.ipynb"
    entries: list[dict[str, object]] = [{"cell_type": "markdown", "metadata": {}, "source": "A network"}] + [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": text} for text in cells
    ]
    notebook.write_text(json.dumps({"cells": entries, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gradlint.toml").write_text(f"[trace]\npython = '{python()}'\n", "utf-8")
    code = cli.run(["trace", "train.ipynb", "--quiet", "--output-format", "json"])
    data = json.loads(capsys.readouterr().out)
    assert (code, data["strategy"], data["steps"], data["error"]) == (1, "run", 3, None)
    found = {item["name"]: item for item in data["diagnostics"]}
    assert set(found) == {"missing-zero-grad", "dead-units"}
    assert (found["missing-zero-grad"]["cell"], found["dead-units"]["cell"]) == (4, 3)
    assert found["dead-units"]["location"]["row"] == 2
    assert {item["verdict"]["verdict"] for item in found.values()} == {"confirmed"}
    assert "of line 5 of cell 3" in found["missing-zero-grad"]["verdict"]["reason"]
    assert cli.run(["check", "train.ipynb", "--trace", "--quiet", "--no-cache", "--output-format", "concise"]) == 1
    places = sorted(line.split(" ")[0:2] for line in capsys.readouterr().out.splitlines() if line.startswith("train"))
    assert places == [["train.ipynb:cell", "3:2:1:"], ["train.ipynb:cell", "4:5:5:"]]


def test_files_that_built_layers_are_linted_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\n\ndef build():\n    return nn.Linear(4, 2)\n", "utf-8")
    head, _, loop = TRAIN.partition("model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))")
    (tmp_path / "train.py").write_text(f"{head}from net import build\nmodel = build(){loop}", "utf-8")
    asked: list[list[str]] = []

    def lint(scripts: object) -> Static:
        asked.append([Path(str(script)).name for script in scripts])  # type: ignore[attr-defined]
        return Static((), {})

    code = main([str(tmp_path / "train.py"), "--python", python(), "--quiet"], lint=lint)
    assert (code, asked) == (0, [["train.py"], ["train.py", "net.py"]]), capsys.readouterr()
