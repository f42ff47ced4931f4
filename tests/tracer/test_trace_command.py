"""Both wings on one script, as users run them: `gradlint trace` and `gradlint check --trace`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import python as warm_python

Run = Callable[..., "subprocess.CompletedProcess[str]"]

TRAINING = """\
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
criterion = nn.CrossEntropyLoss()
data = torch.utils.data.TensorDataset(torch.randn(256, 8), torch.randint(0, 2, (256,)))
for epoch in range(3):
    for x, y in torch.utils.data.DataLoader(data, batch_size=32, shuffle=True):
        {clear}loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
"""
BUGGY = TRAINING.format(clear="")
FIXED = TRAINING.format(clear="optimizer.zero_grad()\n        ")
HOOKED = BUGGY.replace("data =", "optimizer.register_step_post_hook(lambda *_: model.zero_grad())\ndata =", 1)
"""The hook clears the gradients after each step, where only a trace can see it."""
KEYS = {
    "schema_version", "script", "strategy", "steps", "device", "assumptions", "error", "graph", "verdicts",
    "diagnostics",
}  # fmt: skip


@pytest.fixture(autouse=True)
def interpreter(project: Path) -> Path:
    """The project's own virtual environment: an interpreter that has imported torch already."""
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(warm_python())
    return python


def test_trace_confirms_the_finding_of_the_linter(project: Path, gradlint: Run) -> None:
    (project / "train.py").write_text(BUGGY)
    result = gradlint("trace", "train.py", "--quiet", "--output-format", "json")
    assert (result.returncode, result.stderr) == (1, "")
    data = json.loads(result.stdout)
    assert set(data) == KEYS
    assert set(data["graph"]) == {"nodes", "edges"}
    [verdict] = data["verdicts"]
    assert set(verdict) == {"code", "name", "filename", "location", "verdict", "value", "unit", "threshold", "reason"}
    assert (verdict["code"], verdict["filename"], verdict["verdict"]) == ("GL101", "train.py", "confirmed")
    assert verdict["location"] == {"row": BUGGY.splitlines().index("        optimizer.step()") + 1, "column": 9}
    [diagnostic] = data["diagnostics"]
    assert (diagnostic["severity"], diagnostic["verdict"]["verdict"]) == ("error", "confirmed")


def test_fixed_script_is_clean_both_ways(project: Path, gradlint: Run) -> None:
    (project / "train.py").write_text(FIXED)
    result = gradlint("train.py", "--trace", "--quiet", "--output-format", "json")
    assert (result.returncode, json.loads(result.stdout), result.stderr) == (0, [], "")


def test_sarif_carries_the_verdict(project: Path, gradlint: Run) -> None:
    (project / "train.py").write_text(BUGGY)
    result = gradlint("check", "train.py", "--trace", "--fail-on", "confirmed", "--quiet", "--output-format", "sarif")
    assert result.returncode == 1
    [item] = json.loads(result.stdout)["runs"][0]["results"]
    assert (item["ruleId"], item["level"]) == ("GL101", "error")
    verdict = item["properties"]["verdict"]
    assert verdict["verdict"] == "confirmed"
    assert verdict["value"] > verdict["threshold"]
    [flow] = item["codeFlows"]
    last = flow["threadFlows"][0]["locations"][-1]["location"]
    assert last["physicalLocation"] == item["locations"][0]["physicalLocation"]
    assert last["message"]["text"] == f"confirmed: {verdict['reason']}"


@pytest.mark.parametrize(("fail_on", "code"), [("any", 0), ("refuted", 1)])
def test_refuted_findings_are_shown_and_pass(project: Path, gradlint: Run, fail_on: str, code: int) -> None:
    (project / "train.py").write_text(HOOKED)
    assert gradlint("train.py").returncode == 1, "the linter alone cannot see what the hook does"
    result = gradlint("train.py", "--trace", "--quiet", "--fail-on", fail_on)
    assert result.returncode == code
    assert "GL101" in result.stdout
    assert "trace: refuted: " in result.stdout


def test_suppression_comments_hold_for_what_only_a_trace_finds(project: Path, gradlint: Run) -> None:
    layer = "self.spare = nn.Linear(8, 8)"
    text = FIXED.replace(
        "model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.fc = nn.Linear(8, 2)\n        {layer}\n\n"
        "    def forward(self, x):\n        return self.fc(x)\n\n\nmodel = Net()",
    )
    (project / "train.py").write_text(text)
    found = gradlint("train.py", "--trace", "--quiet", "--select", "GL215", "--output-format", "concise")
    assert found.returncode == 1
    [line] = found.stdout.splitlines()
    row = next(number for number, source in enumerate(text.splitlines(), 1) if layer in source)
    assert line.startswith(f"train.py:{row}:")
    assert "GL215" in line
    assert "(confirmed: " in line
    (project / "train.py").write_text(text.replace(layer, f"{layer}  # gradlint: ignore[GL215] loaded by name"))
    silent = gradlint("train.py", "--trace", "--quiet", "--select", "GL215", "--output-format", "concise")
    assert (silent.returncode, silent.stdout) == (0, "")


def test_a_script_that_cannot_be_traced_ends_with_two(project: Path, gradlint: Run) -> None:
    (project / "train.py").write_text("import torch\nraise ValueError('no data')\n")
    result = gradlint("train.py", "--trace", "--quiet")
    assert result.returncode == 2
    assert result.stderr == "gradlint: train.py:2: ValueError: no data\n"


def test_an_interpreter_without_torch_is_one_sentence(project: Path, gradlint: Run, interpreter: Path) -> None:
    interpreter.unlink()
    # -S leaves out the folder where torch is installed.
    interpreter.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{sys.executable}" -S "$@"\n')
    interpreter.chmod(0o755)
    (project / "train.py").write_text(FIXED)
    result = gradlint("train.py", "--trace", "--quiet")
    assert result.returncode == 2
    [sentence] = result.stderr.splitlines()
    assert sentence.startswith("gradlint: train.py: ")
    assert sentence.endswith(" cannot import torch: No module named 'torch'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--trace",), "--trace runs scripts: name them"),
        ((".", "--trace"), "--trace runs scripts: . is not one"),
        (("-", "--trace"), "--trace runs scripts: - is not one"),
        (("train.py", "--trace", "--diff"), "--trace runs what is on disk: it does not go with --diff"),
        (("train.py", "--fail-on", "any"), "--fail-on: without --trace there are no verdicts"),
        (("train.py", "--trace", "--fail-on", "no"), "--fail-on: `no` is not one of confirmed, any, refuted"),
    ],
)
def test_wrong_use_is_one_sentence(project: Path, gradlint: Run, arguments: tuple[str, ...], said: str) -> None:
    (project / "train.py").write_text(FIXED)
    result = gradlint(*arguments, stdin="")
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"gradlint: {said}\n")
