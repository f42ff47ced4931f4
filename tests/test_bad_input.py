"""Everything a file can be besides good Python: one diagnostic with file and line, exit 1, and nothing else lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run

SCRIPTS = [
    (b"import torch\nx = (\n", "2:5: GL991 '(' was never closed"),
    (b"import torch\n  x = 1\n", "GL991 unexpected indent"),
    (b"import torch\nx = '\xff'\n", "2:6: GL991 byte 0xff is not valid utf-8"),
    (b"# -*- coding: latin-2000 -*-\nimport torch\n", "1:1: GL991 unknown encoding: latin-2000"),
    (b"# -*- coding: ascii -*-\nimport torch\nx = '\xc3\xa9'\n", "3:6: GL991 byte 0xc3 is not valid ascii"),
    (b"# -*- coding: rot13 -*-\nvzcbeg gbepu # torch\n", "1:1: GL991"),
    (b"import torch\nx = 1\x00\n", "2:6: GL991 the source holds a NUL byte"),
    ("import torch\n".encode("utf-16"), "1:1: GL991 the file is UTF-16, which Python cannot run; save it as UTF-8"),
    (b"import torch\nx = " + b"(" * 5000 + b")" * 5000 + b"\n", "GL991"),
    (b"import torch\nx = " + b"-" * 20000 + b"1\n", "GL991 nested too deeply to be parsed"),
    (b"import torch\nprint 'hello'\n", "2:1: GL991 Missing parentheses in call to 'print'"),
    (b"import torch\n<<<<<<< HEAD\nx = 1\n", "2:1: GL991 invalid syntax"),
]


@pytest.mark.parametrize(("data", "expected"), SCRIPTS)
def test_broken_scripts(project: Path, gradlint: Run, data: bytes, expected: str) -> None:
    (project / "a.py").write_bytes(data)
    (project / "b.py").write_bytes(b"import torch\nx = [\n")
    result = gradlint(".", "--output-format", "concise", "-q")
    first, second = result.stdout.splitlines()
    assert result.returncode == 1
    assert first.startswith("a.py:")
    assert expected in first
    assert second == "b.py:2:5: GL991 '[' was never closed"
    assert result.stderr == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\xef\xbb\xbfimport torch\n",
        b"import torch\r\nx = 1\r\n",
        b"import torch\rx = 1\r",
        b"import torch",
        b"import torch\n\x0cx = 1\n",
        b"# -*- coding: latin-1 -*-\nimport torch\nx = '\xe9'\n",
        b"# vim: set fileencoding=cp1252 :\nimport torch\nx = '\x80'\n",
        b"#!/usr/bin/env python\n# coding: utf8\nimport torch\nx = '\xc3\xa9'\n",
        b"import torch\nx = '" + b"a" * 1_000_000 + b"'\n",
        b"import torch\nx = [" + b"1, " * 300_000 + b"]\n",
        b"import torch\n" + b"if x:\n y = 1\nelse:\n y = 2\n" * 2_000,
        "import torch\nname = 'ü\u2028ü'\n".encode(),
    ],
)
def test_odd_but_good_scripts(project: Path, gradlint: Run, data: bytes) -> None:
    (project / "a.py").write_bytes(data)
    result = gradlint("a.py")
    assert (result.returncode, result.stdout, result.stderr) == (0, "All checks passed!\n", "")


def notebook(*cells: object, **more: object) -> str:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more})


def code(source: object) -> dict[str, object]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}


NOTEBOOKS = [
    ("", "a.ipynb:1:1: GL994 unreadable notebook: the file is empty"),
    ('{"cells": [\n  {"torch"', "a.ipynb:2:11: GL994 unreadable notebook: not valid JSON: Expecting ':' delimiter"),
    ('["torch"]', "a.ipynb:1:1: GL994 unreadable notebook: its JSON is not an object"),
    ("<<<<<<< HEAD", "a.ipynb:1:1: GL994 unreadable notebook: not valid JSON: Expecting value"),
    ('{"cells": ["torch"]}', "GL994 unreadable notebook: it has no `nbformat` number"),
    ('{"nbformat": 3, "worksheets": ["torch"]}', "GL994 unreadable notebook: format 3 is not supported"),
    ('{"nbformat": 4, "x": "torch"}', "GL994 unreadable notebook: it has no list of `cells`"),
    (notebook({"source": "import torch"}), "GL994 unreadable notebook: cell 1 has no `cell_type`"),
    (notebook(code(None), code("import torch")), "GL994 unreadable notebook: cell 1 has no `source` text"),
    (notebook(code("import torch"), code("x = (\n")), "a.ipynb:cell 2:1:5: GL991 '(' was never closed"),
    ("[" * 100_000 + '"torch"', "GL994 unreadable notebook"),
]


@pytest.mark.parametrize(("text", "expected"), NOTEBOOKS)
def test_broken_notebooks(project: Path, gradlint: Run, text: str, expected: str) -> None:
    (project / "a.ipynb").write_text(text)
    result = gradlint(".", "--output-format", "concise", "-q")
    assert result.returncode == 1
    assert expected in result.stdout
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        notebook(),
        notebook({"cell_type": "markdown", "source": "torch ("}),
        notebook({"cell_type": "raw", "source": ["torch ("]}, code("")),
        notebook(code("library(torch)\nx <- 1"), metadata={"kernelspec": {"language": "R"}}),
        notebook(code(["import torch\n", "%matplotlib inline\n", "!pip install x\n", "torch.tensor?\n", "x = !ls"])),
        notebook(code("%%bash\necho $torch ("), code("%%time\nimport torch")),
        notebook(code("import torch"), metadata=None),
    ],
)
def test_odd_but_good_notebooks(project: Path, gradlint: Run, text: str) -> None:
    (project / "a.ipynb").write_text(text)
    result = gradlint("a.ipynb")
    assert (result.returncode, result.stdout, result.stderr) == (0, "All checks passed!\n", "")


def test_syntax_errors_are_reported_whatever_is_selected(project: Path, gradlint: Run) -> None:
    (project / "a.py").write_text("import torch\nx = (\n")
    assert gradlint("a.py", "--select", "GL101").returncode == 1
    assert gradlint("a.py", "--ignore", "ALL").returncode == 1
    assert gradlint("a.py", "--ignore", "GL991").returncode == 0


def test_broken_import_is_reported_where_it_is_linted(project: Path, gradlint: Run) -> None:
    (project / "a.py").write_text("import torch\nimport b\n\nb.f()\n")
    (project / "b.py").write_text("import torch\nx = (\n")
    assert gradlint("a.py").returncode == 0
    assert gradlint(".", "--output-format", "concise", "-q").stdout.startswith("b.py:2:5: GL991")
