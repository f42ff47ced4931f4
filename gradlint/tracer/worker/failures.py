"""What ended a script, as the record's error: one kind, one sentence, the user's line."""

from __future__ import annotations

import errno
import linecache
import os
import re
import socket
import sys
import traceback
from typing import Any

import torch

from .places import Places, as_place
from .recorder import Recorder

_SAID = 200
_EXPECTED = re.compile(r"environment variable (\w+) expected")
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH)


def failure(kind: str, message: str, problem: BaseException | None, places: Places) -> dict[str, Any]:
    """The schema's TraceFailure, at the innermost user line of the problem's traceback."""
    place = places.of_traceback(problem.__traceback__) if problem is not None else None
    return {"kind": kind, "message": message, "place": as_place(place)}


def classified(problem: BaseException, places: Places, network: bool = True) -> dict[str, Any]:
    """The failure that an exception of the script's is, and what would help; `network`: whether it has one."""
    text = f"{type(problem).__name__}: {problem}" if str(problem).strip() else _at_its_line(problem, places)
    kind = "script-error"
    if isinstance(problem, ModuleNotFoundError):
        kind = "missing-module"
    elif isinstance(problem, (FileNotFoundError, NotADirectoryError)):
        kind = "missing-data"
    elif (
        isinstance(problem, MemoryError)
        or (isinstance(problem, RuntimeError) and "can't allocate memory" in str(problem))
        or (hasattr(torch, "OutOfMemoryError") and isinstance(problem, torch.OutOfMemoryError))
    ):
        kind = "memory"
    first = text.strip().splitlines()[0]
    advice = _advice(problem, network)
    message = f"{_shortened(first, _SAID)}: {advice}" if advice else _shortened(first, 2 * _SAID)
    return failure(kind, message, problem, places)


def _advice(problem: BaseException, network: bool) -> str:
    """What the user can do about it; empty where that is plain or unknown."""
    variable = missing_variable(problem)
    if variable:
        return f"the environment variable {variable} is not set: set it for the trace"
    if isinstance(problem, EOFError) and "reading a line" in str(problem):
        return "nobody types anything in a trace: the script needs its answer as an argument, after `--`"
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        return f"{sys.executable} does not have it: install it there, or name another interpreter with --python"
    if not network and _asked_the_network(problem):
        return "a trace has no network: fetch the data before, or allow it with --network"
    if isinstance(problem, FileNotFoundError):
        return "put it there, or name another with the script's arguments, after `--`"
    return ""


def missing_variable(problem: BaseException) -> str:
    """The environment variable that was asked for and is not set; empty for any other failure."""
    told = _EXPECTED.search(str(problem))
    if told is not None:
        return told.group(1)
    frames = [frame for frame, _ in traceback.walk_tb(problem.__traceback__)]
    if not isinstance(problem, KeyError) or not frames:
        return ""
    asked = frames[-1].f_locals.get("self") is os.environ
    return str(problem.args[0]) if asked and problem.args else ""


def _asked_the_network(problem: BaseException) -> bool:
    """Whether the failure, or one that it came from, is that no other machine can be reached."""
    seen: BaseException | None = problem
    for _ in range(16):
        if seen is None:
            return False
        if isinstance(seen, socket.gaierror) or getattr(seen, "errno", None) in _UNREACHABLE:
            return True
        seen = next((r for r in (getattr(seen, "reason", None),) if isinstance(r, BaseException)), None) or (
            seen.__cause__ or seen.__context__
        )
    return False


def unfinished(recorder: Recorder) -> dict[str, Any] | None:
    """What is missing where the script ended by itself; None where a step was seen, or no optimizer asks for one."""
    if not recorder.backwards:
        return {"kind": "no-backward", "message": "the script ended and never called backward", "place": None}
    if not recorder.steps_seen and recorder.optimizers:
        message = "backward was called, an optimizer exists, and it never stepped"
        return {"kind": "no-step", "message": message, "place": None}
    return None


def too_slow(recorder: Recorder, seconds: float) -> str:
    """What was seen until the time was up, and what would help."""
    if recorder.steps_seen:
        seen = f"only {recorder.steps_seen} OptimizerStep{'' if recorder.steps_seen == 1 else 's'}"
    elif recorder.backwards:
        seen = f"{recorder.backwards} backward call{'' if recorder.backwards == 1 else 's'} and no OptimizerStep"
    else:
        seen = "no backward call"
    return f"{seen} within {seconds:g} s: a longer --timeout helps, or arguments after `--` that make the work smaller"


def _at_its_line(problem: BaseException, places: Places) -> str:
    """An exception without words, such as that of a bare assert, by the user's line that it comes from."""
    line = ""
    for frame, number in traceback.walk_tb(problem.__traceback__):
        if places.user_file(frame.f_code.co_filename) is not None:
            line = linecache.getline(frame.f_code.co_filename, number).strip()
    return f"{type(problem).__name__} at `{line}`" if line else type(problem).__name__


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
