"""Switch measuring on and off as one thing: patches, torch-function mode and optimizer hooks, all put back on exit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from . import training
from .devices import Redirect
from .functions import Watch, in_every_thread
from .patches import Patches
from .places import Places
from .recorder import Recorder
from .stop import Stopper


class Observation:
    """A recorder at work; `close` removes every hook and patch."""

    def __init__(self, recorder: Recorder, patches: Patches, redirect: Redirect | None = None) -> None:
        self.recorder = recorder
        self.patches = patches
        self.watch = Watch(redirect, recorder.calls, recorder.operations)
        self.watch.losses = recorder.losses.functions
        self._handles = training.install(recorder, patches)

    def enter(self) -> None:
        self.watch.__enter__()
        in_every_thread(self.patches, self.watch)

    def close(self) -> None:
        self.watch.__exit__(None, None, None)
        for handle in self._handles:
            handle.remove()
        self.patches.undo()


@contextlib.contextmanager
def observing(folder: str, **settings: Any) -> Iterator[Recorder]:
    """Measure what happens in the `with` block in this very process: for tests and benchmarks.

    `settings` are those of Recorder; user code is what lies below `folder`.
    """
    settings.setdefault("stop_at_end", False)
    recorder = Recorder(Places([folder]), Stopper(), **settings)
    observation = Observation(recorder, Patches())
    observation.enter()
    try:
        yield recorder
    finally:
        observation.close()
        recorder.finished = True


def record_of(recorder: Recorder) -> dict[str, Any]:
    """The record's measured part, after an `observing` block."""
    from .assemble import Assembler

    if recorder.events and recorder.events[-1]["round"] < 0:
        recorder.close_segment(None)
    return Assembler(recorder).build()
