"""Quiet what in a script would leave this process or hide the step: workers, compilation, ranks, checkpoints."""

from __future__ import annotations

import functools
import inspect
import threading
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.utils.checkpoint
import torch.utils.data

from .patches import Patches


class Taming:
    """Collects what was changed, one sentence each, for the assumptions."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.processes = 0

    def note(self, kind: str, message: str, affects: list[str]) -> None:
        entry = {"kind": kind, "message": message, "affects": affects}
        if entry not in self.notes:
            self.notes.append(entry)

    def install(self, patches: Patches, batch_cap: int | None, processes_here: bool = False) -> None:
        """`processes_here`: what the script starts a process for runs in a thread of this one."""
        self._loaders(patches, batch_cap)
        self._compile(patches)
        self._checkpoints(patches)
        self._ranks(patches)
        self._count_processes(patches)
        if processes_here:
            self._processes(patches)

    def _loaders(self, patches: Patches, batch_cap: int | None) -> None:
        loader = torch.utils.data.DataLoader
        original = loader.__init__
        signature = inspect.signature(original)
        calm = {
            "num_workers": 0,
            "pin_memory": False,
            "prefetch_factor": None,
            "persistent_workers": False,
            "timeout": 0,
            "multiprocessing_context": None,
        }

        @functools.wraps(original)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:
                original(self, *args, **kwargs)
                return
            given = bound.arguments
            if given.get("num_workers"):
                notes.note("loader", "DataLoader worker processes were switched off", ["speed"])
            for name, value in calm.items():
                if name in given:
                    given[name] = value
            size = given.get("batch_size")
            if batch_cap and isinstance(size, int) and size > batch_cap:
                notes.note("batch-cap", f"batch_size {size} was capped to {batch_cap}", ["shapes", "values"])
                given["batch_size"] = batch_cap
            original(*bound.args, **bound.kwargs)

        notes = self
        patches.set(loader, "__init__", init)

    def _compile(self, patches: Patches) -> None:
        notes = self

        def identity(model: Any = None, *args: Any, **kwargs: Any) -> Any:
            notes.note("compile", "torch.compile was left out: the traced step runs eagerly", ["speed"])
            if model is None:
                return lambda function: function
            return model

        if hasattr(torch, "compile"):
            patches.set(torch, "compile", identity)

        def compile_module(self: Any, *args: Any, **kwargs: Any) -> None:
            notes.note("compile", "torch.compile was left out: the traced step runs eagerly", ["speed"])

        if hasattr(torch.nn.Module, "compile"):
            patches.set(torch.nn.Module, "compile", compile_module)

    def _checkpoints(self, patches: Patches) -> None:
        """A reentrant checkpoint computes its part in a graph of its own, where no edge of the outer one leads."""
        notes = self
        original = torch.utils.checkpoint.checkpoint

        @functools.wraps(original)
        def checkpoint(function: Any, *args: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
            # Without such an input, the reentrant kind gives no gradient at all: a mistake that has to stay.
            attached = any(isinstance(value, torch.Tensor) and value.requires_grad for value in args)
            if use_reentrant is not False and attached and kwargs.keys() <= {"preserve_rng_state"}:
                message = "reentrant checkpoints were replaced by the other kind, which computes the same"
                notes.note("checkpoint", message, ["speed"])
                use_reentrant = False
            return original(function, *args, use_reentrant=use_reentrant, **kwargs)

        patches.set(torch.utils.checkpoint, "checkpoint", checkpoint)

    def _ranks(self, patches: Patches) -> None:
        """A distributed script runs as the only rank, in this process."""
        notes = self
        if torch.distributed.is_available():
            import torch.distributed as distributed

            original = distributed.init_process_group

            @functools.wraps(original)
            def init_process_group(*args: Any, **kwargs: Any) -> Any:
                notes.note("distributed", "ran as the only rank of a process group of one", ["values"])
                if distributed.is_initialized():
                    return None
                return original(backend="gloo", store=distributed.HashStore(), rank=0, world_size=1)

            patches.set(distributed, "init_process_group", init_process_group)
            patches.set(distributed.distributed_c10d, "init_process_group", init_process_group)
        import torch.multiprocessing as processes

        def spawn(fn: Any, args: Any = (), nprocs: int = 1, join: bool = True, *rest: Any, **kwargs: Any) -> None:
            notes.note("distributed", "torch.multiprocessing.spawn ran its function once, as rank 0, here", ["values"])
            fn(0, *args)

        patches.set(processes, "spawn", spawn)

    def _count_processes(self, patches: Patches) -> None:
        start = BaseProcess.start

        @functools.wraps(start)
        def counted(this: Any) -> None:
            self.processes += 1
            start(this)

        patches.set(BaseProcess, "start", counted)

    def _processes(self, patches: Patches) -> None:
        """The first process of each function is a thread here; further ones of it have ended before they began."""
        threads: dict[Any, threading.Thread] = {}
        running: dict[int, threading.Thread] = {}

        def start(this: Any) -> None:
            self.note("distributed", "what the script starts processes for ran once, in this process", ["values"])
            target = getattr(this, "_target", None)
            if target not in threads:
                running[id(this)] = threads[target] = threading.Thread(target=this.run, daemon=True)
                threads[target].start()

        def join(this: Any, timeout: float | None = None) -> None:
            if id(this) in running:
                running[id(this)].join(timeout)

        def is_alive(this: Any) -> bool:
            return id(this) in running and running[id(this)].is_alive()

        def exitcode(this: Any) -> int | None:
            return None if is_alive(this) else 0

        for name, stand_in in (("start", start), ("join", join), ("is_alive", is_alive)):
            patches.set(BaseProcess, name, stand_in)
        patches.set(BaseProcess, "exitcode", property(exitcode))
        patches.set(BaseProcess, "terminate", lambda this: None)
        patches.set(BaseProcess, "kill", lambda this: None)
