"""What the formats for programs share: places and names that survive moved lines."""

from __future__ import annotations

import hashlib

from gradlint.diagnostics import Diagnostic
from gradlint.report import Report


def where(diagnostic: Diagnostic) -> str:
    """`path:line:column`, or `path:cell 3:line:column` in a notebook."""
    cell = f"cell {diagnostic.cell}:" if diagnostic.cell is not None else ""
    return f"{diagnostic.filename}:{cell}{diagnostic.range.line}:{diagnostic.range.column}"


def fingerprint(diagnostic: Diagnostic, report: Report, seen: dict[str, int]) -> str:
    """Names a finding by file, rule and text of its line, so that moved lines keep it; `seen` numbers equal ones."""
    text = report.sources.line(diagnostic.filename, diagnostic.cell, diagnostic.range.line) or ""
    key = "\0".join((diagnostic.filename.replace("\\", "/"), diagnostic.code, " ".join(text.split())))
    seen[key] = seen.get(key, 0) + 1
    return hashlib.blake2b(f"{key}\0{seen[key]}".encode("utf-8", "replace"), digest_size=16).hexdigest()
