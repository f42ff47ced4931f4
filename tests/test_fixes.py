"""Fixes: exactly the edit and nothing else, once, and never over somebody else's change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st

from gradlint import fixes
from gradlint.diagnostics import Applicability, Edit, Fix, Range
from gradlint.errors import SourceError
from gradlint.source import split_lines

STALE = "import torch\nloss.backward()\nx = 1  # gradlint: ignore[XX001]\n"
CLEAN = "import torch\nloss.backward()\nx = 1\n"


def test_fix(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(STALE)
    result = gradlint("--fix")
    assert (result.returncode, result.stdout) == (0, "Fixed 1 finding; nothing is left.\n")
    assert (marked / "a.py").read_text() == CLEAN
    before = (marked / "a.py").stat()
    assert gradlint("--fix").stdout == "All checks passed!\n"
    assert (marked / "a.py").stat().st_mtime_ns == before.st_mtime_ns


def test_exit_non_zero_on_fix(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(STALE)
    assert gradlint("--fix", "--exit-non-zero-on-fix").returncode == 1
    assert gradlint("--fix", "--exit-non-zero-on-fix").returncode == 0


def test_diff_changes_nothing(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(STALE)
    result = gradlint("--diff")
    assert result.returncode == 1
    head, body = result.stdout.split("@@\n")
    assert head == "--- a.py\n+++ a.py\n@@ -1,3 +1,3 "
    assert body == " import torch\n loss.backward()\n-x = 1  # gradlint: ignore[XX001]\n+x = 1\n"
    assert (marked / "a.py").read_text() == STALE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"torch.backward\r\nx = 1 # noqa: XX001\r\n", b"torch.backward\r\nx = 1\r\n"),
        (b"\xef\xbb\xbftorch.backward\n# noqa: XX001", b"\xef\xbb\xbftorch.backward\n"),
        (
            b"# coding: latin-1\nx = '\xe9'  # noqa: XX001\ntorch.backward",
            b"# coding: latin-1\nx = '\xe9'\ntorch.backward",
        ),
        (
            b"torch.backward\n\tx = 1\t # \xc3\xa9 # noqa: XX001\n".replace(b"\n\t", b"\n"),
            b"torch.backward\nx = 1\t # \xc3\xa9\n",
        ),
        (b"torch.backward\n# noqa: XX001\n\n\n", b"torch.backward\n\n\n"),
    ],
)
def test_everything_else_stays_byte_for_byte(marked: Path, gradlint: Run, before: bytes, after: bytes) -> None:
    (marked / "a.py").write_bytes(before)
    gradlint("--fix", "--select", "GL992,XX001")
    assert (marked / "a.py").read_bytes() == after


def test_mode_and_links_stay(marked: Path, gradlint: Run) -> None:
    (marked / "real").mkdir()
    (marked / "real/a.py").write_text(STALE)
    (marked / "real/a.py").chmod(0o755)
    (marked / "link.py").symlink_to("real/a.py")
    assert gradlint("link.py", "--fix").returncode == 0
    assert (marked / "link.py").is_symlink()
    assert (marked / "real/a.py").stat().st_mode & 0o777 == 0o755
    assert (marked / "real/a.py").read_text() == CLEAN
    assert [path.name for path in (marked / "real").iterdir()] == ["a.py"]


def test_stdin(project: Path, gradlint: Run) -> None:
    text = "import torch\nloss.backward()\nx = 1  # gradlint: ignore[missing-zero-grad] c\n"
    result = gradlint("-", "--fix", "--select", "GL992,GL101", stdin=text)
    assert result.stdout == "import torch\nloss.backward()\nx = 1\n"


def test_changed_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"new\n")
    with pytest.raises(OSError, match="changed meanwhile"):
        fixes.write(str(path), b"old\n", b"fixed\n")
    assert path.read_bytes() == b"new\n"


def one(range: Range, text: str) -> list[tuple[int | None, Fix]]:
    return [(None, Fix("", (Edit(range, text),)))]


def test_result_that_is_not_python_is_refused() -> None:
    with pytest.raises(SourceError, match="a fix would break the file"):
        fixes.apply(b"x = 1\n", "a.py", one(Range(1, 5, 1, 6), "("))


def test_conflicting_fixes_wait() -> None:
    first = Fix("", (Edit(Range(1, 1, 1, 4), "abc"),))
    second = Fix("", (Edit(Range(1, 3, 1, 6), "xyz"),))
    third = Fix("", (Edit(Range(1, 7, 1, 8), "9"),))
    assert fixes.apply(b"aaaaa=1\n", "a.py", [(None, second), (None, third), (None, first)]) == (b"abcaa=9\n", 2)


def test_applicability() -> None:
    from gradlint.diagnostics import Diagnostic, Severity

    items = [
        Diagnostic("XX001", "x", "", Severity.INFO, "high", "a.py", Range(1, 1, 1, 1), fix=Fix("", (), kind))
        for kind in Applicability
    ]
    assert [fix.applicability for _, fix in fixes.applicable(items, unsafe=False)] == [Applicability.SAFE]
    assert [fix.applicability for _, fix in fixes.applicable(items, unsafe=True)] == [
        Applicability.SAFE,
        Applicability.UNSAFE,
    ]


TEXT = st.lists(st.text(alphabet="ab é", max_size=6), min_size=1, max_size=6)


@given(TEXT, st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_edits_replace_exactly_their_ranges(lines: list[str], end: str, data: st.DataObject) -> None:
    """Model: mark the letters between two places as a list of characters, and replace them there."""
    text = end.join(lines)
    row = data.draw(st.integers(1, len(lines)))
    start = data.draw(st.integers(1, len(lines[row - 1]) + 1))
    stop = data.draw(st.integers(start, len(lines[row - 1]) + 1))
    result = fixes.edited(text, [Edit(Range(row, start, row, stop), "<new>")])
    expected = [*lines]
    expected[row - 1] = lines[row - 1][: start - 1] + "<new>" + lines[row - 1][stop - 1 :]
    assert result == end.join(expected)
    assert len(split_lines(result)) == len(lines)


def notebook(source: object, **style: object) -> bytes:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["FIRE é\n"]},
        {
            "cell_type": "code",
            "metadata": {"a": 1},
            "outputs": [{"text": "FIRE"}],
            "execution_count": 3,
            "source": source,
        },
    ]
    data = {"cells": cells, "metadata": {"kernelspec": {"language": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(data, **style) + "\n").encode()  # type: ignore[arg-type]


@pytest.mark.parametrize("style", [{"indent": 1, "ensure_ascii": False}, {"indent": 4}, {}])
def test_notebook_keeps_everything_but_the_edit(style: dict[str, object]) -> None:
    before = notebook(["import torch\n", "!ls\n", "x = 1  # FIRE"], **style)
    edit = (2, Fix("", (Edit(Range(3, 5, 3, 6), "22"),)))
    after, count = fixes.apply(before, "nb.ipynb", [edit])
    assert (after, count) == (notebook(["import torch\n", "!ls\n", "x = 22  # FIRE"], **style), 1)
    text = notebook("import torch\nx = 1\nx = 3", **style)
    assert fixes.apply(text, "nb.ipynb", [edit])[0] == notebook("import torch\nx = 1\nx = 22", **style)


def test_notebook_with_unusual_layout_is_refused() -> None:
    before = notebook("x = 1").replace(b'"nbformat": 4', b'"nbformat":  4')
    with pytest.raises(SourceError, match="laid out in an unusual way"):
        fixes.apply(before, "nb.ipynb", [(2, Fix("", (Edit(Range(1, 5, 1, 6), "2"),)))])
