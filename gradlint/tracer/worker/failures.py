"""What ended a script, as the record's error: one kind, one sentence, the user's line."""

from __future__ import annotations

from typing import Any

import torch

from .places import Places, as_place
from .recorder import Recorder


def failure(kind: str, message: str, problem: BaseException | None, places: Places) -> dict[str, Any]:
    """The schema's TraceFailure, at the innermost user line of the problem's traceback."""
    place = places.of_traceback(problem.__traceback__) if problem is not None else None
    return {"kind": kind, "message": message, "place": as_place(place)}


def classified(problem: BaseException, places: Places) -> dict[str, Any]:
    """The failure that an exception of the script's is."""
    text = f"{type(problem).__name__}: {problem}"
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
    return failure(kind, text.strip().splitlines()[0][:500], problem, places)


def unfinished(recorder: Recorder) -> dict[str, Any] | None:
    """What is missing where the script ended by itself; None where a step was seen, or no optimizer asks for one."""
    if not recorder.backwards:
        return {"kind": "no-backward", "message": "the script ended and never called backward", "place": None}
    if not recorder.steps_seen and recorder.optimizers:
        message = "backward was called, an optimizer exists, and it never stepped"
        return {"kind": "no-step", "message": message, "place": None}
    return None
