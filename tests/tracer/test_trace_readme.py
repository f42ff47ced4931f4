"""The traced example of the README against a real run: all but the measured figures, which differ between machines."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tracing import python as warm_python

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def masked(text: str) -> list[str]:
    return [re.sub(r"-?\d[\d.,]*", "N", line) if line.startswith("  trace:") else line for line in text.splitlines()]


def test_verdicts_are_those_shown(project: Path, gradlint: Run) -> None:
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(warm_python())
    shutil.copytree(ROOT / "examples", project / "examples")
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = readme.split("$ gradlint examples/train.py --trace\n")[1].split("```")[0]
    result = gradlint("examples/train.py", "--trace", "--quiet")
    assert result.returncode == 1
    real = masked(result.stdout)
    assert [line for line in masked(shown) if line not in real] == []
