"""How far a long run has come: one line on the terminal, gone when the run ends."""

from __future__ import annotations

import os
import sys
import time

DELAY = 1.0
"""Seconds before it is shown at all: a short run shows nothing."""

PERIOD = 0.1


class Progress:
    """Shown on stderr if that is a terminal and nobody else's log (`CI`), and only by a run that may talk."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._is_shown = not quiet and sys.stderr.isatty() and not os.environ.get("CI")
        self._next = time.monotonic() + DELAY
        self._width = 0

    def step(self, done: int, total: int) -> None:
        """`done` of `total` files have been examined."""
        now = time.monotonic()
        if not self._is_shown or now < self._next:
            return
        self._next = now + PERIOD
        text = f"gradlint: {done} of {total} files"
        self._write(text.ljust(self._width))
        self._width = len(text)

    def close(self) -> None:
        """Leave the line as it was found."""
        if self._width:
            self._write(" " * self._width)
            self._write("")
        self._width = 0

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text}")
        sys.stderr.flush()
