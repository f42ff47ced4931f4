"""The plugin in flake8 itself."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from conftest import ROOT

IS_INSTALLED = any(entry.name == "GL" for entry in entry_points(group="flake8.extension"))
CONFIGURATION = (
    "[flake8]\n"
    if IS_INSTALLED
    else f"[flake8:local-plugins]\nextension =\n    GL = gradlint.flake8_plugin:Plugin\npaths = {ROOT}\n"
)
"""With gradlint installed flake8 finds the plugin by itself, and would run it twice."""


def flake8(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "flake8.cfg").write_text(CONFIGURATION)
    return subprocess.run(
        [sys.executable, "-m", "flake8", "--config", "flake8.cfg", "--select", "GL", *arguments],
        cwd=folder, capture_output=True, text=True, input=stdin, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_findings_stand_where_flake8_says(project: Path) -> None:
    text = (ROOT / "examples/train.py").read_text()
    (project / "train.py").write_text(text)
    result = flake8(project, "train.py")
    assert (result.returncode, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["GL301", "GL601", "GL701", "GL101"]
    assert lines[3].startswith("train.py:36:13: GL101 gradients of `optimizer` are never cleared")


def test_flake8_suppresses_and_selects(project: Path) -> None:
    text = (ROOT / "examples/train.py").read_text()
    (project / "train.py").write_text(text.replace("optimizer.step()", "optimizer.step()  # noqa: GL101"))
    assert "GL101" not in flake8(project, "train.py").stdout
    assert "GL6" not in flake8(project, "train.py", "--extend-ignore", "GL6").stdout


def test_stdin(project: Path) -> None:
    result = flake8(project, "-", stdin=(ROOT / "examples/train.py").read_text())
    assert "stdin:36:13: GL101" in result.stdout


def test_bad_configuration_does_not_pass(project: Path) -> None:
    (project / "gradlint.toml").write_text("selct = 1\n")
    (project / "train.py").write_text("import torch\n")
    result = flake8(project, "train.py")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.startswith("train.py:1:1: GL990 ")
    assert result.stdout.endswith("gradlint.toml:1: unknown key `selct`; did you mean `select`?\n")
