"""The traced example of the README against a real run; measured figures may differ by a factor of two elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tracing import python as warm_python

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def masked(line: str) -> str:
    return NUMBER.sub("N", line) if line.startswith("  trace:") else line


def numbers(line: str) -> list[float]:
    return [float(text) for text in NUMBER.findall(line)]


def test_verdicts_are_those_shown(project: Path, gradlint: Run) -> None:
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(warm_python())
    shutil.copytree(ROOT / "examples", project / "examples")
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.split("$ gradlint examples/train.py --trace\n")[1].split("```")[0]
    result = gradlint("examples/train.py", "--trace", "--quiet")
    assert result.returncode == 1
    real = {masked(line): line for line in result.stdout.splitlines()}
    for line in shown.splitlines():
        assert masked(line) in real
        for printed, measured in zip(numbers(line), numbers(real[masked(line)]), strict=True):
            assert printed == measured or 0.5 < measured / printed < 2.0, line
