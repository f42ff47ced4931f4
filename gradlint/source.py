"""Bytes to text and positions: encodings, line ends, notebooks.

A notebook becomes one script: the text of its code cells, one after the other. What is not Python (magics, shell lines,
help queries) is blanked in place, so every other line and column stays where it was.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gradlint.diagnostics import Range
from gradlint.errors import SourceError


@dataclass(frozen=True)
class Cell:
    """One code cell: its 1-based place among all cells, and the lines of the joined text it takes up."""

    number: int
    first_line: int
    line_count: int


@dataclass(frozen=True)
class Source:
    """Text of one file. `cells` is None for a script; line ends are kept as they stand in the file."""

    path: str
    text: str
    cells: tuple[Cell, ...] | None = None
    encoding: str = "utf-8"
    bom: bool = False

    @cached_property
    def lines(self) -> list[str]:
        """Lines as Python counts them, without their ends: form feeds and Unicode separators do not end a line."""
        return split_lines(self.text)

    def place(self, range: Range) -> tuple[int | None, Range]:
        """The cell that holds `range` (None in a script) and the range counted from that cell's first line."""
        if not self.cells:
            return None, range
        index = max(bisect_right([cell.first_line for cell in self.cells], range.line) - 1, 0)
        cell = self.cells[index]
        shift = cell.first_line - 1
        end_line = min(range.end_line, shift + cell.line_count)
        end_column = range.end_column if end_line == range.end_line else len(self.lines[end_line - 1]) + 1
        return cell.number, Range(range.line - shift, range.column, end_line - shift, end_column)

    def first_line(self, cell: int | None) -> int:
        """The line of the joined text on which a cell starts; 1 for a script."""
        return next((item.first_line for item in self.cells or () if item.number == cell), 1)


def split_lines(text: str) -> list[str]:
    """`text` cut at the line ends that Python's tokenizer knows; the last line may be empty."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def read(path: str) -> Source:
    """The source of a file.

    Raises OSError when the file cannot be read, SourceError when its bytes are not Python text or not a notebook.
    """
    return decode(Path(path).read_bytes(), path)


def from_text(text: str, path: str) -> Source:
    """The source of an unsaved buffer; `path` decides whether it is a notebook."""
    if is_notebook(path):
        return decode(text.encode("utf-8", "surrogatepass"), path)
    at = text.find("\0")
    if at >= 0:
        raise _error_at(text[:at], path, "the source holds a NUL byte")
    return Source(path, text)


def from_buffer(buffer: str | bytes, path: str) -> Source:
    """The source of an unsaved buffer, as text or as the bytes that would be in the file."""
    return from_text(buffer, path) if isinstance(buffer, str) else decode(buffer, path)


def decode(data: bytes, path: str) -> Source:
    """The source in `data`, by its byte order mark, its coding comment, or UTF-8.

    Raises SourceError with the line of the first byte that does not fit.
    """
    if is_notebook(path):
        from gradlint import notebook

        return notebook.decode(data, path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError("the file is UTF-16, which Python cannot run; save it as UTF-8", path=path)
    bom = data.startswith(b"\xef\xbb\xbf")
    body = data[3:] if bom else data
    encoding = _declared_encoding(body, path) or "utf-8"
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        column = error.start - (body.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"byte 0x{body[error.start]:02x} is not valid {encoding}"
        raise SourceError(message, path=path, line=line, column=column) from None
    except (LookupError, ValueError):
        raise SourceError(f"the declared encoding `{encoding}` is not a text encoding", path=path) from None
    at = text.find("\0")
    if at >= 0:
        raise _error_at(text[:at], path, "the source holds a NUL byte")
    return Source(path, text, None, encoding, bom)


def is_notebook(path: str) -> bool:
    """Whether the file is read as a notebook: by its name."""
    return path.endswith(".ipynb")


def _declared_encoding(body: bytes, path: str) -> str | None:
    head = body.split(b"\n", 2)[:2]
    if not any(b"coding" in line for line in head):
        return None
    import tokenize

    lines = iter([line + b"\n" for line in head])
    try:
        return tokenize.detect_encoding(lambda: next(lines, b""))[0]
    except SyntaxError as error:
        line = next((number for number, text in enumerate(head, 1) if b"coding" in text), 1)
        raise SourceError(f"{error.msg or 'unknown encoding'}", path=path, line=line) from None


def _error_at(before: str, path: str, message: str) -> SourceError:
    lines = split_lines(before)
    return SourceError(message, path=path, line=len(lines), column=len(lines[-1]) + 1)
