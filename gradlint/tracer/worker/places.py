"""Which frames are the user's, and where in the user's real files they are."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType
from typing import Any

_DEPTH = 8
_FOREIGN = ("site-packages", "dist-packages")


class Places:
    """Frames belong to the user when their file lies below one of `folders` and in no installed package.

    `real` maps a folder of the throw-away copy to the folder it was copied from; places are told in real paths.
    """

    def __init__(self, folders: list[str], real: dict[str, str] | None = None) -> None:
        self._folders = tuple(os.path.realpath(folder) + os.sep for folder in folders)
        self._real = real or {}
        self._own = os.path.dirname(os.path.abspath(__file__)) + os.sep
        self._files: dict[str, str | None] = {}
        self._codes: dict[CodeType, str | None] = {}

    def user_file(self, filename: str) -> str | None:
        """The user's real path of a code file, or None when it is not the user's."""
        try:
            return self._files[filename]
        except KeyError:
            found = self._files[filename] = self._look_up(filename)
            return found

    def _look_up(self, filename: str) -> str | None:
        if filename.startswith("<"):
            return None
        path = os.path.realpath(filename)
        if path.startswith(self._own) or not path.startswith(self._folders):
            return None
        for copy, original in self._real.items():
            if path.startswith(copy + os.sep):
                path = original + path[len(copy) :]
        below = path.split(os.sep)
        if any(part in _FOREIGN for part in below) or path.startswith((sys.prefix + os.sep, sys.base_prefix + "/lib/")):
            return None
        return path

    def _of_code(self, code: CodeType) -> str | None:
        try:
            return self._codes[code]
        except KeyError:
            found = self._codes[code] = self.user_file(code.co_filename)
            return found

    def here(self, frame: FrameType | None = None) -> tuple[str, int, str] | None:
        """(file, line, function) of the innermost user frame; cheap, turned into a Place later."""
        current: FrameType | None = frame or sys._getframe(1)
        codes = self._codes
        while current is not None:
            code = current.f_code
            file = codes[code] if code in codes else self._of_code(code)
            if file is not None:
                return (file, current.f_lineno, code.co_name)
            current = current.f_back
        return None

    def stack(self, frame: FrameType | None = None) -> list[tuple[str, int, str]]:
        """The user's frames, innermost first."""
        current: FrameType | None = frame or sys._getframe(1)
        found: list[tuple[str, int, str]] = []
        while current is not None and len(found) < _DEPTH:
            file = self._of_code(current.f_code)
            if file is not None:
                found.append((file, current.f_lineno, current.f_code.co_name))
            current = current.f_back
        return found

    def construction(self, built: object) -> tuple[str, int, str] | None:
        """Where the user's code called the constructor of `built`, from inside its `__init__` chain."""
        current: FrameType | None = sys._getframe(1)
        inner = None
        while current is not None:
            code = current.f_code
            own = (
                code.co_argcount > 0
                and code.co_name in ("__init__", "__new__")
                and current.f_locals.get(code.co_varnames[0]) is built
            )
            file = self._of_code(code)
            if file is not None:
                here = (file, current.f_lineno, code.co_name)
                if not own:
                    return here
                inner = inner or here
            current = current.f_back
        return inner

    def of_traceback(self, traceback: Any) -> tuple[str, int, str] | None:
        """The innermost user line of an exception's traceback."""
        found = None
        while traceback is not None:
            file = self._of_code(traceback.tb_frame.f_code)
            if file is not None:
                found = (file, traceback.tb_lineno, traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        return found


def as_place(place: tuple[str, int, str] | None) -> dict[str, Any] | None:
    """The JSON form."""
    if place is None:
        return None
    return {"file": place[0], "line": place[1], "function": place[2]}
