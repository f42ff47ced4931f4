"""Text and positions: what is read is what Python reads, and every place leads back to where it came from."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlint import notebook
from gradlint.diagnostics import Range
from gradlint.errors import SourceError
from gradlint.source import decode, from_text, split_lines


def test_line_ends_are_kept_and_counted() -> None:
    source = decode(b"a = 1\r\nb = 2\rc = 3\n\x0cd = 4", "a.py")
    assert source.text == "a = 1\r\nb = 2\rc = 3\n\x0cd = 4"
    assert source.lines == ["a = 1", "b = 2", "c = 3", "\x0cd = 4"]


def test_byte_order_mark_is_not_text() -> None:
    source = decode(b"\xef\xbb\xbfx = 1", "a.py")
    assert (source.text, source.bom) == ("x = 1", True)


def test_declared_encodings() -> None:
    assert decode(b"# coding: latin-1\nx = '\xe9'", "a.py").text.endswith("'é'")
    assert decode(b"\n# coding: cp1252\nx = '\x80'", "a.py").text.endswith("'€'")
    assert decode("\n\n# coding: latin-1\nx = 'é'".encode(), "a.py").text.endswith("'é'")


def test_text_is_never_decoded_again() -> None:
    assert from_text("# coding: latin-1\nx = 'é'", "a.py").text.endswith("'é'")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_lines_are_those_of_python(text: str) -> None:
    lines = split_lines(text)
    assert "\n".join(lines) == text.replace("\r\n", "\n").replace("\r", "\n")


CELL = st.lists(st.sampled_from(["x = 1", "", "  ", "%time f()", "!ls", "f(y)", "# c", "z?"]), min_size=1).map(
    "\n".join
)


@given(st.lists(st.tuples(st.sampled_from(["code", "markdown"]), CELL), max_size=6))
def test_every_line_of_a_notebook_leads_back_to_its_cell(cells: list[tuple[str, str]]) -> None:
    data = json.dumps({"nbformat": 4, "cells": [{"cell_type": kind, "source": text} for kind, text in cells]})
    source = decode(data.encode(), "a.ipynb")
    expected = [
        (number, line, text)
        for number, (kind, cell) in enumerate(cells, 1)
        if kind == "code"
        for line, text in enumerate(cell.split("\n"), 1)
    ]
    lines = source.lines[:-1] if expected else []
    assert len(lines) == len(expected)
    for row, (number, line, text) in enumerate(expected, 1):
        cell, place = source.place(Range(row, 1, row, 2))
        assert (cell, place) == (number, Range(line, 1, line, 2))
        assert source.first_line(cell) + line - 1 == row
        assert lines[row - 1] in (text, "") or text.startswith(("%", "!"))


def test_range_over_the_end_of_a_cell_stays_in_it() -> None:
    data = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": s} for s in ("ab\ncd", "ef")]})
    assert decode(data.encode(), "a.ipynb").place(Range(2, 1, 3, 1)) == (1, Range(2, 1, 2, 3))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%matplotlib inline\nx = 1", ["", "x = 1"]),
        ("x = !ls -l", ["x = ..."]),
        ("t = %timeit -o f()", ["t = ..."]),
        ("if a:\n    !ls\nelse:\n    %cd x", ["if a:", "    pass", "else:", "    pass"]),
        ("!pip install a \\\n  b\nx = 1", ["", "", "x = 1"]),
        ("%%time\nx = 1", ["", "x = 1"]),
        ("\n%%capture out\nx = 1", ["", "", "x = 1"]),
        ("%%html\n<b>", ["", ""]),
        ("model?\nmodel.fit??\n?model", ["", "", ""]),
        ("x = (5\n% 3)", ["x = (5", "% 3)"]),
        ("a != b", ["a != b"]),
        ("x = '''\n!ls\n'''", ["x = '''", "!ls", "'''"]),
    ],
)
def test_magics_are_blanked_in_place(cell: str, expected: list[str]) -> None:
    assert notebook.python_lines(cell) == expected


def test_error_names_line_and_column() -> None:
    with pytest.raises(SourceError) as caught:
        decode(b"x = 1\ny = '\x80'\n", "a.py")
    assert (caught.value.line, caught.value.column, caught.value.kind) == (2, 6, "syntax-error")
