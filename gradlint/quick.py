"""The gate: which files can be dismissed on their bytes, and the runs that need nothing more than that."""

from __future__ import annotations

import os
import sys

from gradlint.facts import concerns

CLEAN = "All checks passed!\n"

_HARMLESS = ("--force-exclude", "--output-format=concise", "--output-format=full")
"""Options, those of the hook among them, that leave the output of a clean run as it is."""

_CONFIGURATION = (".gradlint.toml", "gradlint.toml")


def is_concern(data: bytes, path: str) -> bool:
    """Whether a file can hold training code or a directive, or cannot be read as what it claims to be."""
    if concerns(data) or b"gradlint" in data or (b"noqa" in data.lower() and b"GL" in data):
        return True
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16 hides every word
        return True
    return path.endswith(".ipynb") and not data.lstrip().startswith(b"{")


def dismiss(arguments: list[str]) -> bool:
    """Whether the run is clean without a closer look: scripts, no configuration, nothing of concern."""
    if not arguments or sys.stdout.isatty() or os.environ.get("FORCE_COLOR"):
        return False
    paths = [word for word in (arguments[1:] if arguments[0] == "check" else arguments) if word not in _HARMLESS]
    if not paths or not all(path.endswith(".py") and path[0] != "-" and os.path.isfile(path) for path in paths):
        return False
    folders = {os.path.dirname(os.path.abspath(path)) for path in paths} | {os.getcwd()}
    return not any(map(_has_configuration, folders)) and not any(map(_is_concern_on_disk, paths))


def _is_concern_on_disk(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return is_concern(stream.read(), path)
    except OSError:
        return True


def _has_configuration(folder: str) -> bool:
    while True:
        if any(os.path.exists(os.path.join(folder, name)) for name in _CONFIGURATION):
            return True
        try:
            with open(os.path.join(folder, "pyproject.toml"), "rb") as stream:
                if b"gradlint" in stream.read():
                    return True
        except FileNotFoundError:
            pass
        except OSError:
            return True
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent
