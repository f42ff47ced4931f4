"""Notebooks as scripts: which cells are Python, and what in them is not."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from gradlint.errors import SourceError
from gradlint.source import Cell, Source, split_lines

PYTHON_CELL_MAGICS = frozenset(
    {"capture", "prun", "time", "timeit", "memit", "mprun", "lprun", "pypy", "python", "python3"}
)
"""Cell magics whose body is still Python of this script; every other `%%magic` hands the cell to something else."""

_LINE_MAGIC = re.compile(r"\s*(?:[%!?]|(?:[\w.,\[\]'\" ]+?)\s*=\s*[%!](?!=))")
_HELP = re.compile(r"\s*[\w.*%]+\?{1,2}\s*$")


def decode(data: bytes, path: str) -> Source:
    """The code cells of the notebook in `data`, joined.

    Raises SourceError with kind `unreadable-notebook` when it is not a notebook of format 4.
    """
    notebook = _load(data, path)
    cells: list[Cell] = []
    chunks: list[str] = []
    line = 1
    for number, cell in enumerate(_code_cells(notebook, path), 1):
        if cell is None:
            continue
        lines = python_lines(cell)
        cells.append(Cell(number, line, len(lines)))
        chunks.extend(lines)
        line += len(lines)
    return Source(path, "\n".join(chunks) + "\n" if chunks else "", tuple(cells))


def python_lines(text: str) -> list[str]:
    """The lines of one cell with everything that only IPython understands blanked in place."""
    lines = split_lines(text)
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is not None and lines[first].startswith("%%"):
        words = lines[first][2:].split()
        if not words or words[0] not in PYTHON_CELL_MAGICS:
            return [""] * len(lines)
        lines[first] = ""
    if not any(_LINE_MAGIC.match(line) or _HELP.match(line) for line in lines) or _is_python("\n".join(lines)):
        return lines
    continued = False
    for index, line in enumerate(lines):
        if continued or _LINE_MAGIC.match(line) or _HELP.match(line):
            lines[index] = "" if continued else _placeholder(line)
            continued = line.endswith("\\")
    return lines


def _placeholder(line: str) -> str:
    """A statement in place of a magic, so that a block made only of magics still has a body."""
    indent = line[: len(line) - len(line.lstrip())]
    target, equals, _ = line.partition("=")
    if equals and not line.lstrip().startswith(("%", "!", "?")):
        return f"{target.rstrip()} = ..."
    return f"{indent}pass" if indent else ""


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _load(data: bytes, path: str) -> dict[str, Any]:
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(f"byte 0x{data[error.start]:02x} is not valid utf-8", path, line) from None
    except json.JSONDecodeError as error:
        what = "the file is empty" if not data.strip() else f"not valid JSON: {error.msg}"
        raise _unreadable(what, path, error.lineno, error.colno) from None
    except RecursionError:
        raise _unreadable("its JSON is nested too deeply", path) from None
    if not isinstance(notebook, dict):
        raise _unreadable("its JSON is not an object", path)
    return notebook


def _code_cells(notebook: dict[str, Any], path: str) -> list[str | None]:
    """Text of each cell, None for those that are not code."""
    version = notebook.get("nbformat")
    if not isinstance(version, int):
        raise _unreadable("it has no `nbformat` number", path)
    if version < 4:
        raise _unreadable(f"format {version} is not supported; open and save it with a current Jupyter", path)
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise _unreadable("it has no list of `cells`", path)
    if _language(notebook) not in {"python", "ipython"}:
        return []
    return [_code(cell, number, path) for number, cell in enumerate(cells, 1)]


def _code(cell: Any, number: int, path: str) -> str | None:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise _unreadable(f"cell {number} has no `cell_type`", path)
    if cell["cell_type"] != "code":
        return None
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise _unreadable(f"cell {number} has no `source` text", path)
    if "\0" in source:
        raise _unreadable(f"cell {number} holds a NUL character", path)
    return source


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    if isinstance(metadata, dict):
        for holder, key in (("language_info", "name"), ("kernelspec", "language")):
            part = metadata.get(holder)
            if isinstance(part, dict) and isinstance(part.get(key), str):
                return str(part[key]).lower()
    return "python"


def _unreadable(what: str, path: str, line: int = 1, column: int = 1) -> SourceError:
    return SourceError(what, path=path, line=line, column=column, kind="unreadable-notebook")
