"""Applying fixes: edits that do not touch each other, text that still parses, files replaced whole or not at all."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gradlint.diagnostics import Applicability, Diagnostic, Edit, Fix, Range
from gradlint.errors import SourceError
from gradlint.source import decode, is_notebook

_LINE_END = re.compile(r"\r\n|\r|\n")


def applicable(diagnostics: Iterable[Diagnostic], *, unsafe: bool) -> list[tuple[int | None, Fix]]:
    """Cell and fix of each diagnostic that may be applied without a look."""
    allowed = {Applicability.SAFE, Applicability.UNSAFE} if unsafe else {Applicability.SAFE}
    return [(item.cell, item.fix) for item in diagnostics if item.fix and item.fix.applicability in allowed]


def apply(data: bytes, path: str, fixes: Iterable[tuple[int | None, Fix]]) -> tuple[bytes, int]:
    """The file's new bytes and how many fixes went in.

    A fix whose edits touch those of an earlier one is left for the next round. Everything outside the edits stays byte
    for byte. Raises SourceError if the result would not be Python, or if a notebook could not be written back as it
    was.
    """
    chosen = without_conflicts(fixes)
    if not chosen:
        return data, 0
    if is_notebook(path):
        return _apply_to_notebook(data, path, chosen), len(chosen)
    source = decode(data, path)
    text = edited(source.text, [edit for _, fix in chosen for edit in fix.edits])
    _parse(text, path)
    return (b"\xef\xbb\xbf" if source.bom else b"") + text.encode(source.encoding), len(chosen)


def edited(text: str, edits: Iterable[Edit]) -> str:
    """`text` with edits that do not overlap; their line ends become those of the text."""
    starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
    newline = found[0] if (found := _LINE_END.search(text)) else "\n"

    def offset(line: int, column: int) -> int:
        return min(starts[line - 1] + column - 1, len(text)) if line <= len(starts) else len(text)

    for edit in sorted(edits, key=lambda edit: edit.range, reverse=True):
        place = edit.range
        start, end = offset(place.line, place.column), offset(place.end_line, place.end_column)
        text = text[:start] + edit.text.replace("\n", newline) + text[end:]
    return text


def write(path: str, before: bytes, after: bytes) -> None:
    """Replace a file at once. Raises OSError if it cannot be, or if it no longer holds `before`."""
    import tempfile

    target = os.path.realpath(path)
    if Path(target).read_bytes() != before:
        raise OSError("it was changed meanwhile and is left as it is")
    mode = os.stat(target).st_mode
    handle, scratch = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".gradlint-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(after)
        os.chmod(scratch, mode)
        os.replace(scratch, target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def without_conflicts(fixes: Iterable[tuple[int | None, Fix]]) -> list[tuple[int | None, Fix]]:
    """The fixes in the order of the file, less those whose edits touch an earlier one's."""
    ordered = sorted(fixes, key=lambda pair: (pair[0] or 0, min(edit.range for edit in pair[1].edits)))
    taken: list[tuple[int | None, Range]] = []
    chosen = []
    for cell, fix in ordered:
        if any(cell == other and _touch(edit.range, range) for edit in fix.edits for other, range in taken):
            continue
        taken.extend((cell, edit.range) for edit in fix.edits)
        chosen.append((cell, fix))
    return chosen


def _touch(one: Range, two: Range) -> bool:
    first, second = sorted((one, two))
    end, start = (first.end_line, first.end_column), (second.line, second.column)
    return end > start or first == second


def _parse(text: str, path: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise SourceError(f"a fix would break the file: {error}", path=path, line=line) from None


def _apply_to_notebook(data: bytes, path: str, chosen: list[tuple[int | None, Fix]]) -> bytes:
    notebook = json.loads(data.decode("utf-8-sig"))
    style = _style(data, notebook)
    if style is None:
        raise SourceError(
            "its JSON is laid out in an unusual way, so a fix could not leave the rest as it is", path=path
        )
    for number in sorted({cell for cell, _ in chosen if cell is not None}):
        cell = notebook["cells"][number - 1]
        before = cell["source"]
        text = edited(
            before if isinstance(before, str) else "".join(before),
            [edit for other, fix in chosen if other == number for edit in fix.edits],
        )
        cell["source"] = text if isinstance(before, str) else text.splitlines(keepends=True)
    after = _dump(notebook, *style)
    _parse(decode(after, path).text, path)
    return after


def _style(data: bytes, notebook: Any) -> tuple[int | str | None, bool, bytes] | None:
    """Indent, escaping and tail with which dumping the notebook gives `data` again."""
    for indent in (1, 2, 4, 0, None, "\t"):
        for ascii_only in (False, True):
            for tail in (b"\n", b"", b"\r\n"):
                if _dump(notebook, indent, ascii_only, tail) == data:
                    return indent, ascii_only, tail
    return None


def _dump(notebook: Any, indent: int | str | None, ascii_only: bool, tail: bytes) -> bytes:
    return json.dumps(notebook, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + tail
