"""One attempt, from the request to the record: bound the process, instrument torch, run the script, report.

The request is a JSON file that the parent wrote; its keys are described in `gradlint.tracer.run`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import platform
import random
import runpy
import sys
import threading
import time
import traceback
import types
from typing import Any

from .channel import Channel
from .environment import environment
from .isolation import isolate
from .missing import imported_by_user, missing_name
from .places import Places, as_place
from .stop import Stop, Stopper


def main(request_path: str, descriptor: int) -> None:
    """Entry point of the child process; never returns."""
    started = time.monotonic()
    with open(request_path, encoding="utf-8") as file:
        request: dict[str, Any] = json.load(file)
    os.set_inheritable(descriptor, False)
    channel = Channel(descriptor)
    assumptions = isolate(request["network"], request["address_space"], request["processes"], request["parent"])
    Session(request, channel, assumptions, started).run()


class Session:
    """State of one attempt."""

    def __init__(
        self, request: dict[str, Any], channel: Channel, assumptions: list[dict[str, Any]], started: float
    ) -> None:
        self.request = request
        self.channel = channel
        self.assumptions = assumptions
        self.started = started
        self.script_started: float | None = None
        self.places = Places(request["folders"], request["real"])
        self.stopper = Stopper()
        self.recorder: Any = None
        self.redirect: Any = None
        self.taming: Any = None
        self.missing: Any = None
        self.missing_module = self.missing_variable = ""
        self.stubs: Any = None
        self.curvature: Any = None
        self.same_batch: Any = None
        self.functions: Any = None
        self.verification: Any = None
        self._report_lock = threading.RLock()

    def run(self) -> None:
        environment(self.request["home"], self.request["environment"])
        try:
            import torch  # noqa: F401
        except ImportError as problem:
            kind = "no-torch" if getattr(problem, "name", None) == "torch" else "crash"
            self.send({"kind": kind, "message": f"{sys.executable} cannot import torch: {problem}", "place": None})
            os._exit(0)
        try:
            self.prepare()
        except Exception as problem:
            traceback.print_exc()
            self.send({"kind": "protocol", "message": f"instrumentation failed: {problem!r}", "place": None})
            os._exit(0)
        self.watch_clock()
        error = self.execute()
        self.send(error)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)

    # -- preparation ---------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        import torch

        from . import datasets, devices, functions, taming
        from .functions import Operations, Watch
        from .missing import MissingPaths, StubFinder
        from .patches import Patches
        from .recorder import Recorder

        request = self.request
        patches = Patches()
        seed_everything(request["seed"])
        if request["threads"]:
            torch.set_num_threads(request["threads"])
        self.taming = taming.Taming()
        self.taming.install(patches, request["batch_cap"], request["processes_here"])
        self.taming.note("seed", f"random generators were seeded with {request['seed']}", ["values"])
        if "curvature" in request["measure"]:
            from .curvature import plain_kernels

            plain_kernels(patches)
        bare = request["mode"] == "bare"
        cuda = torch.cuda.is_available() and request["device"] != "cpu"
        if not cuda:
            self.redirect = devices.Redirect()
            self.redirect.install(patches)
            if request["pretend_cuda"]:
                devices.pretend(patches, request["pretend_cuda"])
                self.taming.note(
                    "pretended-cuda",
                    f"{_gpus(request['pretend_cuda'])} pretended; tensors stayed on the CPU",
                    ["device", "values"],
                )
        self.recorder = Recorder(
            self.places,
            self.stopper,
            steps=request["steps"],
            graph_rounds=request["graph_rounds"],
            sample_limit=request["sample_limit"],
            backward_limit=request["backward_limit"],
            awaited=request["awaited"],
            patience=request["timeout"] / 3,
        )
        self.recorder.on_finish.append(self.finished)
        if bare:
            from .verify import count_steps

            count_steps(self.recorder, patches)
            if self.redirect is not None:
                watch = Watch(self.redirect, None, Operations())
                watch.__enter__()
                functions.in_every_thread(patches, watch)
        else:
            from .observe import Observation

            observation = Observation(self.recorder, patches, self.redirect)
            self.extras(patches)
            observation.enter()
        self.missing = MissingPaths(self.places)
        self.missing.install(patches)
        if request["stubs"]:
            names = list(request["stubs"])
            if "torchvision" in names:
                names.remove("torchvision")
                datasets.imitate_torchvision(self.taming)
            self.stubs = StubFinder(names, self.places)
            sys.meta_path.insert(0, self.stubs)
        datasets.watch_for_torchvision(patches, self.taming)

    def extras(self, patches: Any) -> None:
        """Measurements that cost more than hooks, only when asked for."""
        from .gradcheck import Functions

        self.functions = Functions(self.recorder)
        self.functions.install(patches)
        if "curvature" in self.request["measure"]:
            from .curvature import Curvature

            self.curvature = Curvature(self.recorder)
        if "same-batch" in self.request["measure"]:
            from .replay import SameBatch

            self.same_batch = SameBatch(self.recorder)
            self.same_batch.install(patches)

    def watch_clock(self) -> None:
        """Shortly before the parent's limit, stop the script, send what there is and end."""
        from . import failures

        remaining = self.request["timeout"] - (time.monotonic() - self.started) - self.request["margin"]

        def expire() -> None:
            main = threading.main_thread().ident or 0
            frame = sys._current_frames().get(main)
            place = self.places.here(frame) if frame is not None else None
            self.recorder.stop_at_end = False
            self.recorder.finished = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), ctypes.py_object(Stop))
            message = failures.too_slow(self.recorder, self.request["timeout"])
            self.send({"kind": "timeout", "message": message, "place": as_place(place)})
            os._exit(0)

        timer = threading.Timer(max(remaining, 0.1), expire)
        timer.daemon = True
        timer.start()

    # -- the script ----------------------------------------------------------------------------------------------

    def execute(self) -> dict[str, Any] | None:
        """Run the script as `python script.py arguments` would; what ended it, as an error or None."""
        request = self.request
        script = request["script"]
        sys.argv = [script, *request["arguments"]]
        sys.path[:] = [os.path.dirname(script), *[entry for entry in sys.path if entry], *request["path"]]
        os.chdir(request["cwd"])
        real_exit = os._exit
        from . import failures

        def leave(status: int) -> None:
            if os.getpid() == self.recorder._process and not self.stopper.stopping:
                self.send({"kind": "script-exit", "message": f"the script called os._exit({status!r})", "place": None})
            real_exit(status)

        os._exit = leave  # type: ignore[assignment]
        self.script_started = time.monotonic()
        # Nothing that exists before the script can hold a graph of its; the search for holders then skips it.
        gc.freeze()
        try:
            if request["setup"]:
                runpy.run_path(request["setup"], run_name="gradlint_setup")
            if request["strategy"] == "build":
                from .build import build

                build(self)
            else:
                self.run_main(script)
        except Stop:
            return None
        except SystemExit as end:
            if self.recorder.steps_seen or self.recorder.backwards:
                return None
            words = f"the script ended with sys.exit({end.code!r}) before a step"
            return failures.failure("script-exit", words, end, self.places)
        except KeyboardInterrupt:
            return failures.failure("script-error", "the script was interrupted", None, self.places)
        except BaseException as problem:
            if self.stopper.stopping:
                return None
            traceback.print_exc()
            error = failures.classified(problem, self.places, request["network"])
            self.missing_variable = failures.missing_variable(problem)
            if isinstance(problem, ModuleNotFoundError):
                self.missing_module = imported_by_user(problem, self.places) or missing_name(problem)
            return error
        finally:
            os._exit = real_exit
        return None

    def main_module(self, script: str) -> types.ModuleType:
        """Like `python script.py`: a module `__main__` that stays, so that its names and classes can be found."""
        from .missing import notebook_shell

        module = types.ModuleType("__main__")
        module.__file__ = script
        module.__builtins__ = __builtins__  # type: ignore[attr-defined]
        module.get_ipython = notebook_shell(self.taming)  # type: ignore[attr-defined]
        sys.modules["__main__"] = module
        self.recorder.scopes.append(vars(module))
        return module

    def run_main(self, script: str) -> None:
        module = self.main_module(script)
        for name, text in self.source(script):
            exec(compile(text, name, "exec", dont_inherit=True), vars(module))

    def source(self, script: str) -> list[tuple[str, str | bytes]]:
        """(file name, text) of what runs one after another: the cells of a notebook, or the script."""
        if self.request["cells"]:
            return [(script + end, text) for end, text in self.request["cells"]]
        with open(script, "rb") as file:
            return [(script, file.read())]

    # -- the report ----------------------------------------------------------------------------------------------

    def finished(self) -> None:
        """The steps wanted were seen: report at once, before the script's own clean-up runs."""
        self.send(None)

    def send(self, error: dict[str, Any] | None) -> None:
        with self._report_lock:
            if self.channel.sent:
                return
            try:
                self.channel.announce()
                record = self.record(error)
            except Exception as problem:
                traceback.print_exc()
                message = f"the measurements could not be put together: {problem!r}"
                record = {"error": error or {"kind": "protocol", "message": message, "place": None}}
            self.channel.send(record)

    def record(self, error: dict[str, Any] | None) -> dict[str, Any]:
        record: dict[str, Any] = {
            "python_version": platform.python_version(),
            "seed": self.request["seed"],
            "assumptions": list(self.assumptions),
            "missing_paths": [],
            "missing_module": self.missing_module,
            "missing_variable": self.missing_variable,
            "started_processes": 0 if self.taming is None else self.taming.processes,
        }
        torch = sys.modules.get("torch")
        record["torch_version"] = str(getattr(torch, "__version__", "")) or None
        recorder = self.recorder
        if recorder is not None and torch is not None:
            recorder.finished = True
            recorder.quiet += 1
            if recorder.events and recorder.events[-1]["round"] < 0:
                recorder.close_segment(None)
            if self.request["mode"] == "bare" or self.request["verify"]:
                from .verify import fingerprint

                record["fingerprint"] = fingerprint(recorder)
            if self.request["mode"] != "bare":
                from .assemble import Assembler

                assembler = Assembler(recorder)
                record.update(assembler.build())
                for name in ("curvature", "same_batch", "functions"):
                    part = getattr(self, name)
                    record[name] = part.report() if part is not None else []
            else:
                record["steps"] = recorder.steps_seen
            if error is None and self.request["mode"] != "bare":
                from .failures import unfinished

                error = unfinished(recorder)
            if self.missing is not None:
                record["missing_paths"] = [[path, kind] for path, kind in self.missing.paths.items()]
        record["error"] = error
        record["assumptions"] += self._notes()
        if self.script_started is not None:
            first = recorder.first_step_at if recorder is not None else None
            record["timing"] = {
                "start": self.script_started - self.started,
                "first_step": (first or time.monotonic()) - self.started,
                "total": time.monotonic() - self.started,
            }
        return record

    def _notes(self) -> list[dict[str, Any]]:
        notes: list[dict[str, Any]] = []
        if self.redirect is not None and self.redirect.used:
            what = ", ".join(sorted(self.redirect.used))
            message = f"no GPU here: {what} was redirected to the CPU"
            notes.append({"kind": "device", "message": message, "affects": ["device", "speed"]})
        if self.taming is not None:
            notes += self.taming.notes
        if self.stubs is not None and self.stubs.used:
            message = "{} not installed: inert stand-ins were imported".format(", ".join(sorted(self.stubs.used)))
            notes.append({"kind": "stubbed-module", "message": message, "affects": ["values"]})
        return notes


def _gpus(count: int) -> str:
    return "a GPU was" if count == 1 else f"{count} GPUs were"


def seed_everything(seed: int) -> None:
    """Random generators of Python, numpy (when there) and torch."""
    import torch

    random.seed(seed)
    torch.manual_seed(seed)
    try:
        import numpy  # type: ignore[import-not-found,unused-ignore]

        numpy.random.seed(seed)
    except ImportError:
        return
