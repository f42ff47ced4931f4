"""The hooks through pre-commit itself, in a repository of its own, as on a clean machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from gradlint.commands.check import build

HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_entries_are_commands(hook: dict[str, str]) -> None:
    program, command, *arguments = hook["entry"].split()
    assert (program, command) == ("gradlint", "check")
    build().parse_args([*arguments, "a.py"])


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.network
def test_try_repo(tmp_path: Path) -> None:
    """The hook fails on the bundled example and names its bug. (The wheel's tests hold that it needs no torch.)"""
    hooks, user, home = tmp_path / "hooks", tmp_path / "user", tmp_path / "home"
    for name in ("gradlint", "rules", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, hooks / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            hooks.mkdir(exist_ok=True)
            shutil.copy(source, hooks / name)
    git(hooks, "init", "-q")
    git(hooks, "add", ".")
    git(hooks, "commit", "-q", "-m", "hooks")
    user.mkdir()
    shutil.copy(ROOT / "examples/train.py", user / "train.py")
    (user / "clean.py").write_text("import os\n")
    git(user, "init", "-q")
    git(user, "add", ".")
    result = subprocess.run(
        [sys.executable, "-m", "pre_commit", "try-repo", str(hooks), "gradlint", "--all-files", "--verbose"],
        cwd=user, capture_output=True, text=True, env={**os.environ, "PRE_COMMIT_HOME": str(home)},
    )  # fmt: skip
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"^train.py:\d+:\d+: GL101 ", result.stdout, re.M)


@pytest.mark.skipif(sys.platform == "win32", reason="the action's steps are written for bash")
def test_steps_of_the_action(tmp_path: Path) -> None:
    """The steps that lint, run as a runner does, with gradlint of this checkout in the place where they install it."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"]
    program = tmp_path / "gradlint/bin/gradlint"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gradlint "$@"\n')
    program.chmod(0o755)
    shutil.copy(ROOT / "examples/train.py", tmp_path / "train.py")
    inputs = {"RUNNER_TEMP": str(tmp_path), "LINT_PATHS": "train.py", "LINT_ARGUMENTS": "--select GL1"}
    environment = {**os.environ, **inputs, "SARIF_FILE": "out.sarif", "PYTHONPATH": str(ROOT)}
    results = [
        subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, capture_output=True, text=True, env=environment)
        for step in steps
        if "run" in step and "pip" not in step["run"]
    ]
    assert [result.returncode for result in results] == [0, 1]
    assert '"ruleId": "GL101"' in (tmp_path / "out.sarif").read_text("utf-8")
    assert results[1].stdout.startswith("::error title=gradlint (GL101),file=train.py,line=36,")
