"""Which files are read beside a linted one, and how often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gradlint import source
from gradlint.facts import build, outline
from gradlint.facts.link import Project
from gradlint.facts.values import Place

SCRIPT = """
import torch
import other
from own import part

other.run(part.make())
"""


@pytest.fixture
def read() -> Project:
    return Project(lambda path: source.read(path) if Path(path).is_file() else None)


def layout(folder: Path) -> Path:
    for name in ("own", "other"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("def run(x):\n    return x\n")
    (folder / "own" / "part.py").write_text("def make():\n    return 1\n")
    (folder / "own" / "train.py").write_text(SCRIPT)
    return folder / "own" / "train.py"


@pytest.mark.parametrize(("folder", "follows"), [("project", True), ("site-packages", False)])
def test_packages_installed_side_by_side_are_not_one_project(
    tmp_path: Path, read: Project, folder: str, follows: bool
) -> None:
    script = layout(tmp_path / folder)
    read.facts(source.read(str(script)))
    files = {path for path in read.dependencies(str(script)) if Path(path).is_file()}
    assert str(tmp_path / folder / "own" / "part.py") in files
    assert (str(tmp_path / folder / "other" / "__init__.py") in files) is follows


@pytest.mark.parametrize("imported_first", [True, False])
def test_a_file_is_lowered_once(
    tmp_path: Path, read: Project, monkeypatch: pytest.MonkeyPatch, imported_first: bool
) -> None:
    script = layout(tmp_path)
    lowered: Counter[tuple[str, int]] = Counter()

    def count(run: list[build.ast.stmt], *rest: object) -> object:
        lowered.update((str(rest[-1]), node.lineno) for node in run)
        return build.lower(run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(outline, "lower", count)
    paths = [str(script), str(script.parent / "part.py")]
    for path in paths if imported_first else reversed(paths):
        read.facts(source.read(path))
    assert set(lowered.values()) == {1}
    assert (paths[1], 1) in lowered


def test_a_line_of_another_file_comes_with_its_name() -> None:
    place = Place("package/helpers.py", (3, 5, 3, 9))
    assert place.line_from("package/helpers.py") == 3
    assert place.line_from("package/train.py") == "3 of helpers.py"
