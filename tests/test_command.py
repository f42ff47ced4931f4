"""The command as users meet it: what it prints, and what it ends with."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from conftest import ROOT, Run

import gradlint as package

FIRE = 'import torch\nx = "FIRE"\n'


def test_version(gradlint: Run) -> None:
    for arguments in (["--version"], ["-V"], ["version"]):
        result = gradlint(*arguments)
        assert (result.returncode, result.stdout) == (0, f"gradlint {package.__version__}\n")


def test_help_names_every_command(gradlint: Run) -> None:
    text = gradlint("--help").stdout
    commands = {path.stem.replace("_", "-") for path in (ROOT / "gradlint/commands").glob("*.py")} - {"--init--"}
    assert {name for name in commands if not name.startswith("-")} == set(re.findall(r"^  (\S+)", text, re.M))


@pytest.mark.parametrize("command", ["check", "rule", "config", "clean", "test-rules", "baseline", "facts"])
def test_help_of_commands(gradlint: Run, command: str) -> None:
    result = gradlint(command, "--help")
    assert result.returncode == 0
    assert "usage: gradlint" in result.stdout


def test_check_is_the_default_command(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    assert gradlint("a.py").stdout == gradlint("check", "a.py").stdout
    assert gradlint("a.py", "--output-format", "concise").stdout.startswith("a.py:2:6: XX001 [*] line 2 says FIRE\n")


def test_exit_codes(marked: Path, gradlint: Run) -> None:
    (marked / "bad.py").write_text(FIRE)
    (marked / "good.py").write_text("import torch\n")
    assert gradlint("good.py").returncode == 0
    assert gradlint("bad.py").returncode == 1
    assert gradlint("bad.py", "--exit-zero").returncode == 0
    assert gradlint("missing.py").returncode == 2
    assert gradlint("missing.py", "--exit-zero").returncode == 2


def test_clean_run_says_so(project: Path, gradlint: Run) -> None:
    (project / "a.py").write_text("import torch\n")
    assert gradlint().stdout == "All checks passed!\n"
    assert gradlint("--quiet").stdout == ""


def test_folders_files_and_order(marked: Path, gradlint: Run) -> None:
    for name in ("b/two.py", "b/one.py", "a.py", ".venv/c.py", "build/d.py", "b/three.txt"):
        (marked / name).parent.mkdir(exist_ok=True)
        (marked / name).write_text(FIRE)
    assert gradlint("--show-files").stdout.split() == ["a.py", "b/one.py", "b/two.py"]
    lines = gradlint(".", "--output-format", "concise", "--quiet").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["a.py", "b/one.py", "b/two.py"]
    assert gradlint("b", "b/one.py", "--show-files").stdout.split() == ["b/one.py", "b/two.py"]


def test_excludes(marked: Path, gradlint: Run) -> None:
    for name in ("a.py", "gen/b.py", "gen/deep/c.py", "skip_me.py"):
        (marked / name).parent.mkdir(exist_ok=True, parents=True)
        (marked / name).write_text(FIRE)
    assert gradlint("--show-files", "--exclude", "gen").stdout.split() == ["a.py", "skip_me.py"]
    assert gradlint("--show-files", "--extend-exclude", "skip_*.py").stdout.split() == [
        "a.py",
        "gen/b.py",
        "gen/deep/c.py",
    ]
    assert gradlint("--show-files", "--exclude", "gen", "gen/b.py").stdout.split() == ["gen/b.py"]
    assert gradlint("--show-files", "--exclude", "gen", "--force-exclude", "gen/b.py").stdout.split() == []


def test_gitignore(marked: Path, gradlint: Run) -> None:
    (marked / ".gitignore").write_text("out/\n*_gen.py\n!kept_gen.py\n")
    for name in ("a.py", "out/b.py", "c_gen.py", "kept_gen.py", "sub/d.py", "sub/e.py"):
        (marked / name).parent.mkdir(exist_ok=True)
        (marked / name).write_text(FIRE)
    (marked / "sub/.gitignore").write_text("e.py\n")
    assert gradlint("--show-files").stdout.split() == ["a.py", "kept_gen.py", "sub/d.py"]
    assert gradlint("--show-files", "sub").stdout.split() == ["sub/d.py"]
    assert gradlint("--show-files", "out").stdout.split() == ["out/b.py"], "a folder that is named is looked into"
    assert gradlint("--show-files", "out", "--force-exclude").stdout.split() == []
    everything = gradlint("--show-files", "--no-respect-gitignore").stdout.split()
    assert everything == ["a.py", "c_gen.py", "kept_gen.py", "out/b.py", "sub/d.py", "sub/e.py"]


def test_stdin(gradlint: Run) -> None:
    broken = "import torch\nx = (\n"
    result = gradlint("-", "--stdin-filename", "pkg/train.py", "--output-format", "concise", "-q", stdin=broken)
    assert (result.returncode, result.stdout) == (1, "pkg/train.py:2:5: GL991 '(' was never closed\n")
    assert gradlint("-", stdin="import torch\n").returncode == 0
    assert "GL991" in gradlint("-", stdin=b"import torch\nx = '\xff'\n").stdout


def test_select_and_ignore(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    for words in ("XX001", "XX", "marked-line", "xx001", "tests", "ALL", "GL101,XX001"):
        assert gradlint("a.py", "--select", words).returncode == 1, words
    assert gradlint("a.py", "--select", "GL101").returncode == 0
    assert gradlint("a.py", "--select", "GL101", "--extend-select", "XX001").returncode == 1
    for words in ("XX001", "XX", "marked-line"):
        assert gradlint("a.py", "--ignore", words).returncode == 0, words
    assert gradlint("a.py", "--extend-ignore", "XX001").returncode == 0


def test_statistics(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE + 'y = "FIRE FIRE"\nz = (\n')
    (marked / "b.py").write_text(FIRE + 'y = "FIRE FIRE"\n')
    result = gradlint("--statistics")
    assert result.stdout == "3\tXX001\tmarked-line\n1\tGL991\tsyntax-error\n"


def test_show_settings_names_what_a_test_file_is(marked: Path, gradlint: Run) -> None:
    expected = "test-files: ['test_*.py', '*_test.py', 'conftest.py']"
    assert expected in gradlint("--show-settings", "a.py").stdout.splitlines()


def test_show_settings(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text("import torch\n")
    text = gradlint("--show-settings", "a.py", "--strict").stdout
    assert f"configuration: {marked / 'gradlint.toml'}" in text
    assert "strict: True" in text
    assert "  XX001 marked-line" in text


def test_isolated_and_config(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    assert gradlint("a.py").returncode == 1
    assert gradlint("a.py", "--isolated").returncode == 0
    (marked / "other.toml").write_text('select = ["GL101"]\n')
    assert gradlint("a.py", "--config", "other.toml").returncode == 0


def test_colour(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    assert "\x1b[" not in gradlint("a.py").stdout
    assert "\x1b[" in gradlint("a.py", "--color", "always").stdout
    assert "\x1b[" in gradlint("a.py", FORCE_COLOR="1").stdout
    assert "\x1b[" not in gradlint("a.py", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_output_file(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    result = gradlint("a.py", "--output-format", "json", "--output-file", "report.json")
    assert (result.returncode, result.stdout) == (1, "")
    assert json.loads((marked / "report.json").read_text())[0]["code"] == "XX001"
    assert gradlint("a.py", "--output-file", "no/such/folder").returncode == 2


def test_full_format(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text("import torch\n\tx = 1\n".replace("\t", "") + 'def f():\n\treturn "FIRE"\n')
    assert gradlint("a.py").stdout == (
        "a.py:4:10: XX001 [*] line 4 says FIRE\n"
        "  |\n"
        '4 | \treturn "FIRE"\n'
        "  | \t        ^^^^\n"
        "  note: a.py:1:1: the file starts here\n"
        "  help: Remove the word.\n"
        "  fix available: Whisper (--fix)\n"
        "\n"
        "Found 1 finding: 1 warning.\n"
        "[*] 1 fix available with `--fix`.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--selct", "x"], "unknown option `--selct`; did you mean `--select`?"),
        (["--select", "GL1O1"], "--select: unknown rule `GL1O1`; did you mean `GL1"),
        (
            ["--ignore", "mising-zero-grad"],
            "--ignore: unknown rule `mising-zero-grad`; did you mean `missing-zero-grad`?",
        ),
        (["--output-format", "sarff"], "unknown output format `sarff`; did you mean `sarif`?"),
        (["chekc"], "chekc: no such file, folder or command; did you mean `check`?"),
        (["--config", "none.toml"], "--config: none.toml: no such file"),
        (["nowhere/train.py"], "nowhere/train.py: no such file or directory"),
        (["--jobs", "many"], "argument -j/--jobs: invalid int value: 'many'"),
        (["--jobs=-1"], "--jobs: -1 is negative"),
        (["rule"], "name a rule, as in `gradlint rule GL101`, or pass --all"),
        (["rule", "GL12345"], "unknown rule `GL12345`"),
        (["test-rules", "nowhere"], "nowhere: no such folder of rules"),
        (["facts", "nowhere.py"], "nowhere.py: No such file or directory"),
        (["config", "selct"], "unknown key `selct`; did you mean `select`?"),
    ],
)
def test_mistakes_end_with_two_and_a_sentence(
    project: Path, gradlint: Run, arguments: list[str], sentence: str
) -> None:
    result = gradlint(*arguments)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.startswith("gradlint: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_missing_path_loses_nothing_else(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    result = gradlint("missing.py", "a.py", "--output-format", "concise")
    assert result.returncode == 2
    assert "a.py:2:6: XX001" in result.stdout
    assert result.stderr == "gradlint: missing.py: no such file or directory\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    (marked / "b.py").write_text(FIRE)
    (marked / "a.py").chmod(0)
    result = gradlint(".")
    assert result.returncode == 2
    assert "a.py: cannot be read: Permission denied" in result.stderr
    assert "b.py:2:6" in result.stdout


def test_dangling_link_is_not_passed_over(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").symlink_to("nowhere.py")
    assert gradlint("a.py").returncode == 2


def test_folder_named_like_a_script(marked: Path, gradlint: Run) -> None:
    (marked / "pkg.py").mkdir()
    (marked / "pkg.py" / "a.py").write_text(FIRE)
    assert gradlint("pkg.py", "--output-format", "concise", "-q").stdout.startswith("pkg.py/a.py:2:6: XX001")


def test_crash_in_a_check_loses_nothing_else(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text("import torch\n# CRASH\n")
    (marked / "b.py").write_text(FIRE)
    for _ in range(2):
        result = gradlint(".", "--output-format", "concise")
        assert result.returncode == 2
        assert "b.py:2:6: XX001" in result.stdout
        assert "gradlint: internal error in rule marked-line on a.py: RuntimeError: asked to crash" in result.stderr
    assert "Traceback" in gradlint(".", "--verbose").stderr


def test_no_files(project: Path, gradlint: Run) -> None:
    result = gradlint(".")
    assert result.returncode == 0
    assert result.stderr == "gradlint: no Python files or notebooks under the given paths\n"


def test_closed_pipe(marked: Path) -> None:
    import subprocess
    import sys

    (marked / "a.py").write_text("import torch\n" + 'x = "FIRE"\n' * 5000)
    command = f"{sys.executable} -m gradlint a.py --no-cache | head -1"
    result = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert result.stderr == ""
    assert result.stdout.startswith("a.py:2:6")


def test_lines_in_messages_about_notebooks_are_counted_in_their_cell(gradlint: Run, project: Path) -> None:
    """A line of the joined text would lead nowhere; one of another cell names it."""
    cells = [
        ["import torch\n", "from torch import nn\n", "model, head = nn.Linear(3, 4), nn.Linear(4, 2)\n"],
        ["optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"],
        [
            "for x, y in batches:\n",
            "    loss = nn.functional.cross_entropy(head(model(x)), y)\n",
            "    loss.backward()\n",
            "    optimizer.step()\n",
        ],
        ["other = torch.optim.SGD(head.parameters(), lr=0.1)\n"],
    ]
    notebook = {"nbformat": 4, "cells": [{"cell_type": "code", "source": lines} for lines in cells]}
    (project / "n.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    found = json.loads(gradlint("n.ipynb", "--select", "GL101,GL104", "--output-format", "json").stdout)
    placed = [(item["code"], item["cell"], item["location"]["row"]) for item in found]
    assert placed == [("GL104", 3, 3), ("GL101", 3, 4)]
    assert "`other` (line 1 of cell 4)" in found[0]["message"]
    assert "`step()` on line 4 and the next `backward()` on line 3" in found[1]["message"]
