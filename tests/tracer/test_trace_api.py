"""`gradlint.trace`, the library's way to verdicts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_trace_command import BUGGY, FIXED
from tracing import python as warm_python

import gradlint
from gradlint.errors import GradlintError, UsageError


@pytest.fixture(autouse=True)
def interpreter(project: Path) -> None:
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(warm_python())


def test_findings_come_with_verdicts(project: Path) -> None:
    (project / "train.py").write_text(BUGGY)
    (item,) = gradlint.trace("train.py")
    assert (item.code, item.filename) == ("GL101", "train.py")
    assert item.verdict is not None
    assert item.verdict.verdict == "confirmed"
    (project / "train.py").write_text(FIXED)
    assert gradlint.trace(project / "train.py") == []


def test_what_cannot_be_traced_is_an_error(project: Path) -> None:
    (project / "train.py").write_text("import torch\nraise SystemExit(3)\n")
    with pytest.raises(GradlintError, match=r"train\.py"):
        gradlint.trace("train.py", settings={"timeout": "60"})
    with pytest.raises(UsageError, match=f"{os.sep}nowhere.py is not one"):
        gradlint.trace(project / "nowhere.py")
