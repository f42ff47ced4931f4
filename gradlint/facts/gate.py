"""The closer look at a file whose bytes name one of the libraries: does its code, or only its prose?"""

from __future__ import annotations

import re

_LIBRARY = rb"torch|lightning|accelerate|transformers"
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)\b[^#\n]*(?:%b)" % _LIBRARY, re.MULTILINE)
_TRAINING = re.compile(
    rb"%b|\.backward\b|zero_grad|no_grad|requires_grad|\.step\b|\bnn\.|optim|DataLoader|state_dict|\bloss" % _LIBRARY
)
_ENCODING = re.compile(rb"(?:[^\n]*\n)?[ \t\f]*#[^\n]*?coding[:=](?![ \t]*(?:utf|ascii|latin|iso-8859))", re.IGNORECASE)
_PIECE = re.compile(
    rb'#[^\n]*|"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'',
    re.DOTALL,
)


def in_code(data: bytes) -> bool:
    """Whether code, or a string on one line (`import_module("torch")`), names a library of training code or does what
    training code does; comments and long strings do not count. What is encoded otherwise than in ASCII and above cannot
    be told from its bytes, and counts.
    """
    if _ENCODING.match(data):
        return True
    return _IMPORT.search(data) is not None or _TRAINING.search(_PIECE.sub(_without_prose, data)) is not None


def _without_prose(piece: re.Match[bytes]) -> bytes:
    text = piece[0]
    return b"" if text.startswith((b"#", b'"""', b"'''")) else text
