"""Cells of a notebook as files of their own, `nb.ipynb:cell 3`: so a trace counts lines as a reader of it does."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gradlint.diagnostics import Finding, Range
from gradlint.errors import SourceError
from gradlint.source import Source, is_notebook, read, split_lines
from gradlint.tracer.schema import Place

_CELL = re.compile(r"(.+\.ipynb):cell (\d+)")


def parts(script: Path) -> list[tuple[str, str]]:
    """(end of the file's name, text) of what runs one after another: the code cells, or the whole script.

    Raises SourceError for a notebook that cannot be read.
    """
    if not is_notebook(script.name):
        return []
    source = read(str(script))
    lines = source.lines
    return [
        (
            f":cell {cell.number}",
            "\n".join(lines[cell.first_line - 1 : cell.first_line - 1 + cell.line_count]) + "\n",
        )
        for cell in source.cells or ()
    ]


def file_of(path: str, cell: int | None) -> str:
    """The name that a diagnostic's place has in a trace."""
    return path if cell is None else f"{path}:cell {cell}"


def in_cell(path: str, span: Range) -> tuple[str, Range]:
    """The place, counted in the lines of the joined notebook, as it is in a trace."""
    if not is_notebook(path):
        return path, span
    cell, counted = _source(path).place(span)
    return file_of(path, cell), counted


def joined(finding: Finding) -> Finding:
    """The finding with its place counted in the lines of the joined notebook, as those of static rules are."""
    found = _CELL.fullmatch(finding.path)
    if found is None:
        return finding
    path, shift = found.group(1), _source(found.group(1)).first_line(int(found.group(2))) - 1
    span = finding.range
    moved = Range(span.line + shift, span.column, span.end_line + shift, span.end_column)
    return replace(finding, path=path, range=moved)


def line_of(place: Place) -> str:
    """`line 4`, in a notebook with its cell."""
    found = _CELL.fullmatch(place["file"])
    return f"line {place['line']}" + (f" of cell {found.group(2)}" if found is not None else "")


def text_at(place: Place) -> str:
    """The text of a place's line; empty where its file cannot be read."""
    found = _CELL.fullmatch(place["file"])
    try:
        if found is not None:
            source = _source(found.group(1))
            lines, number = source.lines, source.first_line(int(found.group(2))) + place["line"] - 1
        else:
            lines, number = split_lines(Path(place["file"]).read_text("utf-8", "replace")), place["line"]
    except (OSError, SourceError):
        return ""
    return lines[number - 1].rstrip() if 0 < number <= len(lines) else ""


@lru_cache(maxsize=8)
def _source(path: str) -> Source:
    return read(path)
