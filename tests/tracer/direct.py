"""Traces of trusted scripts in this process: what a child of its own costs most of its time for is left out."""

from __future__ import annotations

import contextlib
import gc
import random
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, cast

import torch

from gradlint.tracer.run import restored
from gradlint.tracer.schema import TraceRecord, empty_record
from gradlint.tracer.worker import failures
from gradlint.tracer.worker.assemble import Assembler
from gradlint.tracer.worker.curvature import Curvature, plain_kernels
from gradlint.tracer.worker.gradcheck import Functions
from gradlint.tracer.worker.observe import Observation
from gradlint.tracer.worker.patches import Patches
from gradlint.tracer.worker.places import Places
from gradlint.tracer.worker.recorder import Recorder
from gradlint.tracer.worker.replay import SameBatch
from gradlint.tracer.worker.session import seed_everything
from gradlint.tracer.worker.stop import Stop, Stopper


class Gentle(Stopper):
    """Ends the script, never the process."""

    def stop(self) -> NoReturn:
        self.stopping = True
        raise Stop


def trace_here(
    script: Path, *, seed: int = 0, measure: tuple[str, ...] = (), awaited: tuple[str, ...] = (), scale: float = 1.0
) -> TraceRecord:
    """The record of a script that needs no other process, with its loss multiplied by `scale`."""
    places = Places([str(script.parent)])
    recorder = Recorder(places, Gentle(), awaited=awaited, patience=10.0)
    patches = Patches()
    record = cast(dict[str, Any], empty_record(str(script), []))
    with _undisturbed(patches, script.parent):
        seed_everything(seed)
        if scale != 1.0:
            _multiply(patches, scale)
        if "curvature" in measure:
            plain_kernels(patches)
        observation = Observation(recorder, patches)
        parts: dict[str, Any] = {"functions": Functions(recorder)}
        parts["functions"].install(patches)
        if "curvature" in measure:
            parts["curvature"] = Curvature(recorder)
        if "same-batch" in measure:
            parts["same_batch"] = SameBatch(recorder)
            parts["same_batch"].install(patches)
        observation.enter()
        try:
            record["error"] = _run(script, recorder)
        finally:
            observation.close()
        recorder.finished = True
        recorder.quiet += 1
        if recorder.events and recorder.events[-1]["round"] < 0:
            recorder.close_segment(None)
        record.update(Assembler(recorder).build(), strategy="run", seed=seed)
        record.update({name: part.report() for name, part in parts.items()})
        record["error"] = record["error"] or failures.unfinished(recorder)
    return cast(TraceRecord, restored(record))


def _run(script: Path, recorder: Recorder) -> dict[str, Any] | None:
    module = types.ModuleType("__main__")
    module.__file__ = str(script)
    sys.modules["__main__"] = module
    recorder.scopes.append(vars(module))
    code = compile(script.read_bytes(), str(script), "exec", dont_inherit=True)
    try:
        exec(code, vars(module))
    except Stop:
        return None
    except Exception as problem:
        return None if recorder.stopper.stopping else failures.classified(problem, recorder.places)
    return None


def _multiply(patches: Patches, scale: float) -> None:
    backward = torch.Tensor.backward

    def scaled(loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        backward(loss * scale, *args, **kwargs)

    patches.set(torch.Tensor, "backward", scaled)


@contextlib.contextmanager
def _undisturbed(patches: Patches, folder: Path) -> Iterator[None]:
    main, path, threads = sys.modules["__main__"], list(sys.path), torch.get_num_threads()
    arguments, sys.argv = sys.argv, ["train.py"]
    state, python_state, kind = torch.get_rng_state(), random.getstate(), torch.get_default_dtype()
    torch.set_num_threads(1)
    gc.freeze()
    sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        patches.undo()
        gc.unfreeze()
        torch.backends.cuda.enable_flash_sdp(True)
        torch.backends.cuda.enable_mem_efficient_sdp(True)
        sys.modules["__main__"], sys.path[:], sys.argv = main, path, arguments
        torch.set_num_threads(threads)
        torch.set_default_dtype(kind)
        torch.set_rng_state(state)
        random.setstate(python_state)
