"""Write a file of a wanted name with plausible random content: text, tables, arrays, pictures, sound.

Real files are written, because readers in C (pandas, memmap, PIL) go past any replaced `open`.
"""

from __future__ import annotations

import json
import os
import random
import re
import string
import struct
import wave
import zlib
from pathlib import Path

_WORDS = [
    "the",
    "of",
    "a",
    "to",
    "and",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "or",
    "had",
    "by",
    "hot",
    "but",
    "some",
    "what",
    "there",
    "we",
    "can",
    "out",
    "other",
    "were",
    "all",
    "your",
    "when",
    "up",
    "use",
    "word",
    "how",
    "said",
    "an",
    "each",
    "she",
    "which",
    "do",
    "their",
    "time",
    "if",
]
_ROWS = 512
_SIZE = 64
_FOLDER_CLASSES = 2
_FOLDER_IMAGES = 8


def materialise(path: Path, kind: str, script: Path, flat: bool = False) -> bool:
    """Create what the script looked for; False when its kind is not one that can be made up.

    `flat`: pictures lie in a folder itself, in place of one folder for each class.
    """
    if path.exists() or path.is_symlink():
        return False
    suffix = path.suffix.lower()
    if kind == "directory" or not suffix:
        return _folder(path, flat)
    maker = _MAKERS.get(suffix)
    if maker is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    maker(path, _keys(script))
    return True


def _folder(path: Path, flat: bool) -> bool:
    """A folder of labelled pictures, which is what listing a missing folder mostly means."""
    path.mkdir(parents=True, exist_ok=True)
    for label in range(_FOLDER_CLASSES):
        for number in range(_FOLDER_IMAGES):
            picture = path / f"{label}{number:03d}.png" if flat else path / f"class{label}" / f"{number:03d}.png"
            picture.parent.mkdir(exist_ok=True)
            _picture(picture, [])
    return True


def _keys(script: Path) -> list[str]:
    """Column names that the script asks for by subscript."""
    try:
        text = script.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = re.findall(r"""\[\s*["']([A-Za-z_][\w ]{0,40})["']\s*\]""", text)
    return list(dict.fromkeys(found))[:64]


def _sentence(length: int = 12) -> str:
    return " ".join(random.choice(_WORDS) for _ in range(length))


def _text(path: Path, keys: list[str]) -> None:
    """Sentences, after one line with every letter, digit and mark that a table of characters may be asked for."""
    lines = [f"{_sentence().capitalize()}{random.choice('.!?')}" for _ in range(2000)]
    path.write_text("\n".join([string.ascii_letters + string.digits + string.punctuation, *lines]) + "\n")


def _cell(name: str) -> str:
    lowered = name.lower()
    if any(
        word in lowered for word in ("text", "sentence", "review", "comment", "title", "question", "answer", "name")
    ):
        return _sentence(8)
    if any(word in lowered for word in ("label", "target", "class", "rating", "species")) or lowered == "y":
        return str(random.randrange(2))
    return f"{random.gauss(0.0, 1.0):.6f}"


def _table(separator: str):  # type: ignore[no-untyped-def]
    def write(path: Path, keys: list[str]) -> None:
        columns = keys or [f"x{index}" for index in range(8)] + ["label"]
        rows = [separator.join(columns)]
        rows += [separator.join(_cell(name) for name in columns) for _ in range(_ROWS)]
        path.write_text("\n".join(rows) + "\n")

    return write


def _json(path: Path, keys: list[str]) -> None:
    path.write_text(json.dumps([{name: _cell(name) for name in keys or ["text", "label"]} for _ in range(_ROWS)]))


def _json_lines(path: Path, keys: list[str]) -> None:
    names = keys or ["text", "label"]
    path.write_text("".join(json.dumps({name: _cell(name) for name in names}) + "\n" for _ in range(_ROWS)))


def _array(path: Path, keys: list[str]) -> None:
    """NumPy's format 1.0: (512, 16) float32."""
    shape = (_ROWS, 16)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (len(header) + 10) % 64) + "\n"
    values = struct.pack(f"<{shape[0] * shape[1]}f", *(random.gauss(0, 1) for _ in range(shape[0] * shape[1])))
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values)


def _tokens(path: Path, keys: list[str]) -> None:
    """Little-endian uint16 tokens below 64: what memory-mapped language-model data looks like."""
    count = 1 << 17
    path.write_bytes(struct.pack(f"<{count}H", *(random.randrange(64) for _ in range(count))))


def _picture(path: Path, keys: list[str]) -> None:
    """A random RGB picture in PNG; readers look at the content, not the extension."""
    rows = b"".join(b"\0" + os.urandom(3 * _SIZE) for _ in range(_SIZE))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", _SIZE, _SIZE, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def _sound(path: Path, keys: list[str]) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(os.urandom(2 * 16000))


_MAKERS = {
    ".txt": _text,
    ".text": _text,
    ".md": _text,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".json": _json,
    ".jsonl": _json_lines,
    ".npy": _array,
    ".bin": _tokens,
    ".png": _picture,
    ".jpg": _picture,
    ".jpeg": _picture,
    ".bmp": _picture,
    ".wav": _sound,
}
