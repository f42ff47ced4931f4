"""The baseline: what was there is accepted, what is new is not, and what is gone can be dropped."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Run

FIRE = 'import torch\nx = "FIRE"\n'


def test_create_accept_and_new(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    assert gradlint("baseline", "create").returncode == 0
    path = marked / "gradlint-baseline.json"
    assert json.loads(path.read_text())["findings"] == [
        {"file": "a.py", "code": "XX001", "line": 'x = "FIRE"', "count": 1}
    ]
    assert gradlint("--baseline", path.name).returncode == 0
    (marked / "a.py").write_text("# moved\n\n" + FIRE)
    assert gradlint("--baseline", path.name).returncode == 0
    (marked / "a.py").write_text(FIRE + 'x = "FIRE"\n')
    result = gradlint("--baseline", path.name, "--output-format", "concise", "-q")
    assert (result.returncode, result.stdout) == (1, "a.py:3:6: XX001 [*] line 3 says FIRE\n")


def test_configured_baseline_and_replay(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    gradlint("baseline", "create")
    with (marked / "gradlint.toml").open("a") as stream:
        stream.write('baseline = "gradlint-baseline.json"\n')
    for _ in range(3):
        assert gradlint().returncode == 0
    (marked / "gradlint-baseline.json").write_text('{"version": 1, "findings": []}')
    assert gradlint().returncode == 1


def test_update_and_prune(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE + 'y = "FIRE"\n')
    (marked / "b.py").write_text(FIRE)
    assert gradlint("baseline", "create").returncode == 0
    assert gradlint("baseline", "create").returncode == 2
    (marked / "a.py").write_text('import torch\ny = "FIRE"\nz = "FIRE"\n')
    assert gradlint("baseline", "prune", "a.py").returncode == 0
    kept = json.loads((marked / "gradlint-baseline.json").read_text())["findings"]
    assert [(item["file"], item["line"]) for item in kept] == [("a.py", 'y = "FIRE"'), ("b.py", 'x = "FIRE"')]
    assert gradlint("baseline", "update", "a.py").returncode == 0
    kept = json.loads((marked / "gradlint-baseline.json").read_text())["findings"]
    assert [item["line"] for item in kept] == ['y = "FIRE"', 'z = "FIRE"']


def test_accepted_findings_are_suppressed_in_sarif(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    gradlint("baseline", "create")
    log = json.loads(gradlint("--baseline", "gradlint-baseline.json", "--output-format", "sarif").stdout)
    assert [item["suppressions"][0]["kind"] for item in log["runs"][0]["results"]] == ["external"]


def test_broken_baseline_never_hides_anything(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    for text in ("", "[]", '{"version": 9}', '{"version": 1}', '{"version": 1, "findings": [{}]}'):
        (marked / "base.json").write_text(text)
        result = gradlint("--baseline", "base.json")
        assert result.returncode == 2
        assert ("base.json:1: " if text == "" else "base.json: ") in result.stderr
        assert result.stderr.count("\n") == 1


def test_unexamined_files_stop_it(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text("import torch\n# CRASH\n")
    assert gradlint("baseline", "create").returncode == 2
    assert not (marked / "gradlint-baseline.json").exists()
