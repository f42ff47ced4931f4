"""Streams that are closed, full or read no further, files that go away meanwhile, links that lead in circles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, USER_RULES, Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams of POSIX")
FIRE = 'import torch\nx = "FIRE"\n'


@pytest.fixture
def script(marked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (marked / "a.py").write_text(FIRE)
    (marked / "clean.py").write_text("x = 1\n")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    return marked


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command.replace("gradlint", f"{sys.executable} -m gradlint"), shell=True, capture_output=True, text=True
    )


COMMANDS = [
    ["a.py"], ["a.py", "--no-cache"], ["clean.py"], [".", "--show-files"], ["rule", "--all"], ["rule", "GL101"],
    ["facts", "a.py"], ["config"], ["--help"], ["check", "--help"], ["--version"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_reader_that_has_seen_enough(script: Path, arguments: list[str]) -> None:
    for _ in range(2):  # the second run may print again what the first one did
        ours, theirs = os.pipe()
        os.close(ours)
        result = subprocess.run(
            [sys.executable, "-m", "gradlint", *arguments], stdout=theirs, stderr=subprocess.PIPE, text=True
        )
        os.close(theirs)
        assert (result.returncode, result.stderr) == (2, "")


def test_closed_stdout_keeps_the_exit_code(script: Path) -> None:
    for _ in range(2):
        result = shell("gradlint a.py >&-")
        assert (result.returncode, result.stderr) == (1, "")
    assert shell("gradlint clean.py >&-").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", ["a.py", "a.py --no-cache", "clean.py", "--version"])
def test_full_disk(script: Path, arguments: str) -> None:
    result = shell(f"gradlint {arguments} > /dev/full")
    assert result.returncode == 2
    assert result.stderr == "gradlint: the output cannot be written: No space left on device\n"


def test_closed_stderr_and_stdin(script: Path) -> None:
    assert shell("gradlint nowhere.py 2>&-").returncode == 2
    result = shell("gradlint - <&-")
    assert (result.returncode, result.stderr) == (2, "gradlint: -: stdin is closed\n")


def test_file_that_goes_away_during_the_run(project: Path, gradlint: Run) -> None:
    """The stand-in rule, looking at a.py, deletes b.py, which has been found and is not examined yet."""
    rules = project / "build"
    rules.mkdir()
    (rules / "marked-line.yaml").write_text((USER_RULES / "marked-line.yaml").read_text())
    check = (USER_RULES / "marked_line.py").read_text()
    gone = '    path = Path(facts.path)\n    Path("b.py").unlink(missing_ok=True)\n'
    (rules / "marked_line.py").write_text(check.replace("    path = Path(facts.path)\n", gone, 1))
    (project / "gradlint.toml").write_text(f'extend-rules = ["{rules.as_posix()}"]\nselect = ["XX"]\n')
    for name in ("a.py", "b.py", "c.py"):
        (project / name).write_text(FIRE)
    result = gradlint(".", "--output-format", "concise", "-q")
    assert result.returncode == 2
    assert result.stderr == "gradlint: b.py: cannot be read: No such file or directory\n"
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["a.py", "c.py"]


def test_links_in_circles(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    (marked / "loop").symlink_to(".")
    (marked / "one").symlink_to("two")
    (marked / "two").symlink_to("one")
    (marked / "x.py").symlink_to("x.py")
    result = gradlint(".", "--show-files")
    assert (result.returncode, result.stdout) == (0, "a.py\n")
    result = gradlint("x.py")
    assert (result.returncode, result.stderr) == (2, "gradlint: x.py: no such file or directory\n")


@pytest.mark.parametrize("name", ["gradlint.toml", ".gradlint.toml", "pyproject.toml"])
def test_configuration_that_leads_nowhere(script: Path, gradlint: Run, name: str) -> None:
    (script / "gradlint.toml").unlink()
    (script / name).symlink_to("nowhere")
    result = gradlint("a.py")
    assert result.returncode == 2
    assert result.stderr == f"gradlint: {script / name}: is not a file that can be read\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "accepted.json:1: not valid JSON: Expecting property name enclosed in double quotes"),
        ("[]", "accepted.json: is not a baseline that `gradlint baseline` wrote"),
        ('{"version": 1, "findings": [{}]}', "accepted.json: is not a baseline that `gradlint baseline` wrote"),
        ('{"version": 99}', "accepted.json: version 99 of the baseline is not known to this gradlint"),
    ],
)
def test_broken_baseline(script: Path, gradlint: Run, text: str, sentence: str) -> None:
    (script / "accepted.json").write_text(text)
    result = gradlint("a.py", "--baseline", "accepted.json")
    assert result.returncode == 2
    assert result.stderr == f"gradlint: {script}/{sentence}\n"
