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
