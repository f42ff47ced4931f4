"""Quiet the parts of a script that would leave this process or hide the step: loader workers, compilation, ranks."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
import torch.utils.data

from .patches import Patches


class Taming:
    """Collects what was changed, one sentence each, for the assumptions."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []

    def note(self, kind: str, message: str, affects: list[str]) -> None:
        entry = {"kind": kind, "message": message, "affects": affects}
        if entry not in self.notes:
            self.notes.append(entry)

    def install(self, patches: Patches, batch_cap: int | None) -> None:
        self._loaders(patches, batch_cap)
        self._compile(patches)
        self._ranks(patches)

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
