"""`gradlint --watch`: the same run again each time something that it depended on has changed."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from gradlint.discovery import EXCLUDED, SUFFIXES
from gradlint.errors import GradlintError, UsageError
from gradlint.replay import state

PERIOD = 0.3
"""Seconds between two looks."""

_CLEAR = "\x1b[2J\x1b[H"


def watch(paths: list[str], lint: Callable[[Callable[[str], None]], int]) -> int:
    """Run `lint(note)` until Ctrl-C and return the exit code of its last run; `note` is told what a run depends on."""
    code = 0
    try:
        while True:
            seen: dict[str, object] = {}

            def note(path: str, seen: dict[str, object] = seen) -> None:
                if path not in seen:
                    seen[path] = _look(path)

            for path in paths:
                note(path)
            if sys.stdout.isatty():
                print(_CLEAR, end="")
            try:
                code = lint(note)
            except GradlintError as error:
                print(f"gradlint: {error}", file=sys.stderr)
                code = error.exit_code
            sys.stdout.flush()
            print("gradlint: watching for changes; Ctrl-C ends", file=sys.stderr)
            while all(_look(path) == then for path, then in seen.items()):
                time.sleep(PERIOD)
    except KeyboardInterrupt:
        return code


def refuse(options: argparse.Namespace) -> None:
    """Raise UsageError for options that make no sense over and over again."""
    words = ("fix", "diff", "add_ignore", "trace", "show_files", "show_settings")
    for word in words:
        if getattr(options, word):
            raise UsageError(f"--watch does not go with --{word.replace('_', '-')}")
    if "-" in options.paths:
        raise UsageError("--watch does not go with stdin")


def _look(path: str) -> object:
    """What would make another run worth while: a file's state, or which files and folders a folder holds."""
    try:
        entries = [entry for entry in os.scandir(path) if entry.name not in EXCLUDED]
    except NotADirectoryError:
        return state(path)
    except OSError:
        return None
    return sorted(entry.name for entry in entries if entry.name.endswith(SUFFIXES) or entry.is_dir())
