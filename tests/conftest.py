"""Fixtures of the whole suite: the command as users run it, and rules that stand in for real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
USER_RULES = ROOT / "tests" / "fixtures" / "user_rules"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "GITHUB_ACTIONS", "GRADLINT_CACHE_DIR", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project: the current folder, with nothing configured."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def marked(project: Path) -> Path:
    """A project that uses the stand-in rule alone: every word FIRE is a finding XX001."""
    (project / "gradlint.toml").write_text(f'extend-rules = ["{USER_RULES.as_posix()}"]\nselect = ["XX", "GL99"]\n')
    return project


@pytest.fixture
def gradlint(project: Path) -> Run:
    """`gradlint ...` as a process of its own in the project; never a traceback."""

    def run(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        result = subprocess.run(
            [sys.executable, "-m", "gradlint", *arguments],
            cwd=project,
            input=data,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
            timeout=120,
        )
        out, err = result.stdout.decode("utf-8"), result.stderr.decode("utf-8", "replace")
        assert "Traceback (most recent call last)" not in err or "--verbose" in arguments, err
        return subprocess.CompletedProcess(arguments, result.returncode, out, err)

    return run
