"""The gate: which files can be dismissed on their bytes, and the runs that need nothing more than that."""

from __future__ import annotations

import os
import sys

from gradlint import replay
from gradlint.facts import concerns

CLEAN = "All checks passed!\n"

_HARMLESS = ("--force-exclude", "--output-format=concise", "--output-format=full", "--no-cache", "--isolated")
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
    if not paths or not all(map(_is_script, paths)):
        return False
    if "--isolated" not in arguments and any(map(_has_configuration, {*_folders(paths), os.getcwd()})):
        return False
    return not any(map(_is_concern_on_disk, paths))


def known_clean(arguments: list[str]) -> str | None:
    """What a run prints over scripts without training code, if an earlier one with these options over scripts of the
    same folders was clean and no configuration has changed since; None if it takes a closer look.
    """
    key = _settings_key(arguments)
    folder = replay.cache_folder(arguments) if key is not None else None
    answer = replay.recall(folder, key) if folder is not None and key is not None else None
    if answer is None or any(map(_is_concern_on_disk, filter(_is_script, arguments))):
        return None
    return answer[0]


def remember(recorder: replay.Recorder, arguments: list[str], folder: str, output: str) -> None:
    """Keep for `known_clean` that a run over scripts was clean."""
    key = _settings_key(arguments)
    if key is not None:
        recorder.store_settings(folder, key, output)


def _settings_key(arguments: list[str]) -> str | None:
    paths = [word for word in arguments if _is_script(word)]
    options = [word for word in arguments if word not in paths]
    if not paths or not replay.may_replay(arguments):
        return None
    if any(os.path.exists(word) and not word.endswith(".toml") for word in options):
        return None
    return replay.key_of(["clean", *options, *sorted(_folders(paths))])


def _is_script(word: str) -> bool:
    return word.endswith(".py") and word[0] != "-" and os.path.isfile(word)


def _folders(paths: list[str]) -> set[str]:
    return {os.path.dirname(os.path.abspath(path)) for path in paths}


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
