"""Suppression comments: what they cover, and what is said about those that are of no use."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st

from gradlint.suppression import Suppressions, comments


def accepts(text: str, line: int, code: str = "GL101", name: str = "missing-zero-grad") -> bool:
    return Suppressions(comments(text)).match(code, name, line) is not None


@pytest.mark.parametrize(
    "comment",
    [
        "# gradlint: ignore[GL101]",
        "# gradlint: ignore[GL101] the reason",
        "#gradlint:ignore[gl101]",
        "# gradlint: ignore[missing-zero-grad]",
        "# gradlint: ignore[GL999, GL101]",
        "# gradlint: ignore [GL101]",
        "# gradlint: ignore",
        "# type: ignore  # gradlint: ignore[GL101]",
        "# noqa",
        "# noqa: GL101",
        "# noqa: E501,GL101",
        "# NOQA:E501 GL101",
        "# nosec # noqa: GL101 because",
    ],
)
def test_forms_that_accept(comment: str) -> None:
    assert accepts(f"optimizer.step()  {comment}\n", 1)
    assert not accepts(f"optimizer.step()  {comment}\nx = 1\n", 2)


@pytest.mark.parametrize(
    "comment",
    ["# gradlint: ignore[GL102]", "# gradlint: ignore[]", "# noqa: E501", "# gradlint", "# gradlint: skip", "# GL101"],
)
def test_forms_that_do_not(comment: str) -> None:
    assert not accepts(f"optimizer.step()  {comment}\n", 1)


def test_strings_are_not_comments() -> None:
    assert comments('x = "# gradlint: ignore[GL101]"\ny = """\n# noqa: GL101\n"""\n') == ()


def test_any_line_of_a_statement_covers_all_of_it() -> None:
    text = "x = 0\nf(\n    a,\n    b,  # gradlint: ignore[GL101]\n)\ny = 1\n"
    assert [accepts(text, line) for line in range(1, 7)] == [False, True, True, True, True, False]


def test_next_line_skips_comments_and_covers_the_statement() -> None:
    text = "# gradlint: ignore-next-line[GL101]\n\n# why\nf(\n  a)\nx = 1\n"
    assert [accepts(text, line) for line in range(1, 7)] == [False, False, False, True, True, False]


def test_file() -> None:
    text = "x = 1\n# gradlint: ignore-file[GL101]\ny = 2\n"
    assert accepts(text, 1)
    assert accepts(text, 3)
    assert not accepts(text, 3, "GL102", "zero-grad-before-step")


def test_broken_tail_keeps_the_comments_before_it() -> None:
    assert accepts("x = 1  # noqa: GL101\ny = (\n", 1)


@given(
    st.lists(
        st.sampled_from(["x = 1", "f(\n  a,\n  b)", "if x:\n    y = 2", "'''a\n# noqa\n'''", "", "# note"]), max_size=8
    ),
    st.data(),
)
def test_a_comment_covers_one_statement_and_no_other(parts: list[str], data: st.DataObject) -> None:
    """Put a comment at the end of one simple statement anywhere: exactly that statement's lines are covered."""
    index = data.draw(st.integers(0, len(parts)))
    before = "".join(f"{part}\n" for part in parts[:index])
    after = "".join(f"{part}\n" for part in parts[index:])
    text = f"{before}step(\n    x\n)  # gradlint: ignore[GL101]\n{after}"
    first = before.count("\n") + 1
    covered = [line for line in range(1, text.count("\n") + 1) if accepts(text, line)]
    assert covered == [first, first + 1, first + 2]


LOOP = "import torch\n\n\ndef f(loss):\n    loss.backward()\n\n\n"


def test_suppressed_findings_are_silent(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(LOOP + 'x = "FIRE"  # gradlint: ignore[XX001] on purpose\ny = "FIRE"  # noqa: XX001\n')
    assert gradlint("a.py").returncode == 0


def test_unused_is_reported_and_removed(marked: Path, gradlint: Run) -> None:
    text = LOOP + (
        'x = "FIRE"  # gradlint: ignore[XX001, GL999] reason\n'
        "y = 1  # gradlint: ignore[XX001] stale\n"
        "# gradlint: ignore-next-line[XX001]\n"
        "z = 2  # kept # gradlint: ignore[marked-line]\n"
        "w = 3  # noqa: E501, XX001\n"
        "v = 4  # noqa\n"
    )
    (marked / "a.py").write_text(text)
    lines = gradlint("a.py", "--output-format", "concise", "-q").stdout.splitlines()
    assert lines == [
        "a.py:8:39: GL993 [*] unknown rule `GL999` in suppression comment",
        "a.py:9:8: GL992 [*] unused suppression of `XX001`",
        "a.py:10:1: GL992 [*] unused suppression of `XX001`",
        "a.py:11:15: GL992 [*] unused suppression of `marked-line`",
        "a.py:12:22: GL992 [*] unused suppression of `XX001`",
    ]
    assert gradlint("a.py", "--fix").returncode == 0
    assert (marked / "a.py").read_text() == LOOP + (
        'x = "FIRE"  # gradlint: ignore[XX001] reason\ny = 1\nz = 2  # kept\nw = 3  # noqa: E501\nv = 4  # noqa\n'
    )


def test_unused_is_not_judged_without_the_rule(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(LOOP + "y = 1  # gradlint: ignore[XX001]\n")
    assert gradlint("a.py", "--select", "GL992").returncode == 0
    assert gradlint("a.py", "--select", "GL992,XX001").returncode == 1


def test_unused_in_a_module_is_judged_together_with_its_importer(marked: Path, gradlint: Run) -> None:
    (marked / "other.py").write_text("import torch\ny = 1  # gradlint: ignore[XX001]\n")
    (marked / "train.py").write_text("import torch\nimport other\n\nother.y\n")
    assert gradlint("other.py").returncode == 0
    assert "other.py:2:8: GL992" in gradlint("other.py", "train.py", "--output-format", "concise").stdout


def test_finding_in_an_imported_file_obeys_that_file(marked: Path, gradlint: Run) -> None:
    (marked / "train.py").write_text("import torch\nimport other\n\nother.x\n")
    (marked / "other.py").write_text('import torch\nx = "FIRE"\n')
    assert gradlint("train.py", "--output-format", "concise", "-q").stdout.startswith("other.py:2:6: XX001")
    assert gradlint(".", "--output-format", "concise", "-q").stdout.count("XX001") == 1
    (marked / "other.py").write_text('import torch\nx = "FIRE"  # gradlint: ignore[XX001]\n')
    assert gradlint(".").returncode == 0
    (marked / "other.py").write_text('import torch\nx = "FIRE"\n')
    with (marked / "gradlint.toml").open("a") as stream:
        stream.write('exclude = ["other.py"]\n')
    assert gradlint("train.py").returncode == 0


def test_unknown_directive(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text("x = 1  # gradlint: ignroe[XX001]\n")
    result = gradlint("a.py", "--output-format", "concise", "-q")
    assert result.stdout == (
        "a.py:1:8: GL993 unknown directive `ignroe` in suppression comment; did you mean `ignore`?\n"
    )


def test_add_ignore(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text('import torch\nx = (\n    "FIRE",\n    "FIRE",\n)\ny = "FIRE"  # note\n')
    assert gradlint("a.py", "--add-ignore").returncode == 0
    text = (marked / "a.py").read_text()
    assert text == (
        'import torch\nx = (\n    "FIRE",\n    "FIRE",\n)  # gradlint: ignore[XX001]\n'
        'y = "FIRE"  # note  # gradlint: ignore[XX001]\n'
    )
    assert gradlint("a.py").returncode == 0
