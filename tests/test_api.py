"""The library's two functions."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradlint
from gradlint.errors import GradlintError


def test_lint_source_reads_the_text_it_is_given(marked: Path) -> None:
    assert gradlint.lint_source("import torch\n", "new.ipynb")[0].code == "GL994"
    (item,) = gradlint.lint_source("import torch\nx = (\n", "pkg/train.py")
    assert isinstance(item, gradlint.Diagnostic)
    assert (item.code, item.filename, item.range.line, item.range.column) == ("GL991", "pkg/train.py", 2, 5)


def test_lint_paths(marked: Path) -> None:
    (marked / "a.py").write_text('import torch\nx = "FIRE"\n')
    (marked / "b.py").write_text("import torch\n")
    assert [item.code for item in gradlint.lint_paths([marked])] == ["XX001"]
    assert gradlint.lint_paths(["b.py"]) == []
    with pytest.raises(GradlintError, match=r"none.py: no such file"):
        gradlint.lint_paths(["none.py"])


def test_config(marked: Path) -> None:
    (marked / "a.py").write_text('import torch\nx = "FIRE"\n')
    (marked / "none.toml").write_text('select = ["GL101"]\n')
    assert gradlint.lint_paths(["a.py"], config="none.toml") == []


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lint'"):
        gradlint.lint  # noqa: B018
