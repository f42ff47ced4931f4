"""What users install is the wheel: it is built, installed somewhere else and run there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

BUGGY = (ROOT / "examples/train.py").read_text("utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_rule_and_check(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"gradlint/_rules/{path.name}" for path in (ROOT / "rules").glob("*.yaml")} <= names
    assert {f"gradlint/checks/{path.name}" for path in (ROOT / "gradlint/checks").glob("*.py")} <= names
    assert "gradlint/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


def test_wheel_registers_the_command_and_the_plugin(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    text = archive.read(name).decode()
    assert "[console_scripts]\ngradlint = gradlint.__main__:main" in text
    assert "[flake8.extension]\nGL = gradlint.flake8_plugin:Plugin" in text


def test_wheel_needs_no_torch(wheel: Path) -> None:
    metadata = next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    needed = [line for line in text.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert sorted(line.split()[1].split(">")[0].split(";")[0] for line in needed) == [
        "pathspec",
        "pyyaml",
        "tomli",
    ]


def test_wheel_lints_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text(BUGGY)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-P", "-m", "gradlint", "train.py", "--output-format", "concise"]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-m", "gradlint", "train.py", "--output-format", "concise"],
        cwd=work, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(target)},
    )  # fmt: skip
    assert result.stderr == ""
    assert result.returncode == 1
    assert "train.py:36:13: GL101" in result.stdout
    script = "import gradlint.catalog; print(gradlint.catalog.builtin_folder())"
    where = subprocess.run(
        [sys.executable, "-c", script],
        cwd=work,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(target)},
    )
    assert where.stdout.strip() == str(target / "gradlint/_rules")


@pytest.mark.network
def test_wheel_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    install = [*pip, "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (tmp_path / "train.py").write_text(BUGGY)
    result = subprocess.run([tmp_path / "venv/bin/gradlint", "train.py"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert "GL101" in result.stdout
    installed = subprocess.run([*pip, "list"], check=True, capture_output=True, text=True).stdout.lower()
    assert "pathspec" in installed
    assert "\ntorch " not in installed
    assert "networkx" not in installed
