"""Completion as a shell does it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Run

from gradlint.cli import COMMANDS
from gradlint.reporters import formats

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")


def completed(script: str, folder: Path, *words: str) -> set[str]:
    """What bash offers after `gradlint` and these words, the last of which is being typed."""
    quoted = " ".join(f"'{word}'" for word in ("gradlint", *words))
    ask = f'{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _gradlint; printf "%s\\n" "${{COMPREPLY[@]}}"'
    result = subprocess.run(["bash", "--norc", "-c", ask], cwd=folder, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return set(result.stdout.split())


@bash
def test_bash(project: Path, gradlint: Run) -> None:
    script = gradlint("completion", "bash").stdout
    (project / "train.py").write_text("")
    assert completed(script, project, "") == {*COMMANDS, "train.py", ".git"}
    assert completed(script, project, "tr") == {"trace", "train.py"}
    assert completed(script, project, "--sel") == {"--select"}
    assert completed(script, project, "check", "--fi") == {"--fix"}
    assert completed(script, project, "--output-format", "j") == {"json", "json-lines", "junit"}
    assert completed(script, project, "check", "--output-format", "") == set(formats())
    assert completed(script, project, "--select", "GL10") >= {"GL101", "GL102"}
    assert completed(script, project, "rule", "missing-z") == {"missing-zero-grad"}
    assert completed(script, project, "rule", "--output-format", "") == {"text", "json", "markdown"}
    assert completed(script, project, "baseline", "p") == {"prune"}
    assert completed(script, project, "config", "extend-s") == {"extend-select"}
    assert completed(script, project, "trace", "--no-r") == {"--no-run"}
    assert completed(script, project, "--config", "tr") == {"train.py"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_in_their_shells_language(project: Path, gradlint: Run, shell: str) -> None:
    result = gradlint("completion", shell)
    assert result.returncode == 0
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    (project / "script").write_text(result.stdout)
    check = subprocess.run([program, "-n", "script"], cwd=project, capture_output=True, text=True)
    assert (check.returncode, check.stderr) == (0, "")


def test_every_option_is_offered_in_fish(gradlint: Run) -> None:
    lines = gradlint("completion", "fish").stdout.splitlines()
    of_rule = [line for line in lines if line.startswith("complete -c gradlint -n '__fish_seen_subcommand_from rule'")]
    offered = {line.split(" -l ")[1].split()[0] for line in of_rule if " -l " in line}
    assert offered == {"help", "all", "output-format", "config", "isolated"}
    assert any("-l select " in line and line.startswith("complete -c gradlint -n 'not ") for line in lines)


def test_unknown_shell(gradlint: Run) -> None:
    result = gradlint("completion", "csh")
    assert result.returncode == 2
    assert result.stderr.startswith("gradlint: argument shell: invalid choice: 'csh'")
