"""Run code written for an accelerator on the CPU: redirect devices, and on a second attempt pretend to have a GPU.

Redirecting leaves `torch.cuda.is_available()` False, so the script chooses its own CPU path where it has one. Only
when the script dies over it is a GPU pretended. Every patched name gets a function of its own, and types stay types.
"""

from __future__ import annotations

import time
from typing import Any

import torch

from .patches import Patches

_HOST = ("cpu", "meta")


def _foreign(device: Any) -> bool:
    """Whether this names a device that is neither the CPU nor meta."""
    if isinstance(device, torch.device):
        return device.type not in _HOST
    if isinstance(device, bool):
        return False
    if isinstance(device, int):
        return True
    return isinstance(device, str) and device.split(":")[0] in ("cuda", "mps", "xpu", "hpu", "npu", "mtia", "xla")


class Redirect:
    """Turns device arguments into the CPU; `used` tells whether it ever had to."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._identity = {torch.Tensor.cuda: "Tensor.cuda()", torch.Tensor.pin_memory: "Tensor.pin_memory()"}
        for name in ("xpu", "hpu"):
            method = getattr(torch.Tensor, name, None)
            if method is not None:
                self._identity[method] = f"Tensor.{name}()"

    def arguments(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        """New arguments for a torch function, or None when nothing has to change."""
        if kwargs and _foreign(kwargs.get("device")):
            kwargs = dict(kwargs)
            self.used.add(str(kwargs["device"]))
            kwargs["device"] = torch.device("cpu")
            if kwargs.get("pin_memory"):
                kwargs["pin_memory"] = False
            return args, kwargs
        if kwargs and kwargs.get("pin_memory"):
            return args, {**kwargs, "pin_memory": False}
        if func is torch.Tensor.to and len(args) > 1 and _foreign(args[1]):
            self.used.add(str(args[1]))
            return (args[0], torch.device("cpu"), *args[2:]), kwargs
        if func is torch.Tensor.type and len(args) > 1 and "cuda" in str(args[1]):
            self.used.add("cuda")
            return (args[0], str(args[1]).replace("torch.cuda", "torch").split("'")[-1]), kwargs
        return None

    def identity(self, func: Any) -> bool:
        """Functions that move a tensor and have nothing left to do."""
        if func in self._identity:
            self.used.add(self._identity[func])
            return True
        return False

    def install(self, patches: Patches) -> None:
        module = torch.nn.Module
        original_to = module.to
        used = self.used

        def to(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if args and _foreign(args[0]):
                used.add(str(args[0]))
                args = (torch.device("cpu"), *args[1:])
            if _foreign(kwargs.get("device")):
                used.add(str(kwargs["device"]))
                kwargs["device"] = torch.device("cpu")
            return original_to(self, *args, **kwargs)

        def cuda(self: torch.nn.Module, device: Any = None) -> Any:
            used.add("Module.cuda()")
            return self

        patches.set(module, "to", to)
        patches.set(module, "cuda", cuda)
        original_load = torch.load

        def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
            if map_location is None or _foreign(map_location):
                map_location = "cpu"
            return original_load(f, map_location, *args, **kwargs)

        patches.set(torch, "load", load)

        def set_default_device(device: Any) -> None:
            original_default("cpu" if _foreign(device) else device)

        original_default = patches.set(torch, "set_default_device", set_default_device)

        def set_default_tensor_type(kind: Any) -> None:
            if "cuda" not in str(kind):
                original_type(kind)

        original_type = patches.set(torch, "set_default_tensor_type", set_default_tensor_type)
        self._harmless(patches)
        self._data_parallel(patches)

    def _harmless(self, patches: Patches) -> None:
        """Calls that only mean something on a GPU and would raise without one."""
        for name, value in _SILENT.items():
            if hasattr(torch.cuda, name):
                patches.set(torch.cuda, name, _constant(name, value))
        for name in (
            "FloatTensor",
            "DoubleTensor",
            "HalfTensor",
            "LongTensor",
            "IntTensor",
            "ByteTensor",
            "BoolTensor",
        ):
            if hasattr(torch.cuda, name):
                patches.set(torch.cuda, name, getattr(torch, name))
        host_generator = torch.Generator

        class Generator(host_generator):  # type: ignore[misc, valid-type]
            def __new__(cls, device: Any = "cpu") -> Any:
                return super().__new__(cls, device="cpu" if _foreign(device) else device)

            def __init__(self, device: Any = "cpu") -> None:
                super().__init__()

        try:
            Generator(device="cuda")
        except (TypeError, RuntimeError):
            return
        patches.set(torch, "Generator", Generator)

    def _data_parallel(self, patches: Patches) -> None:
        distributed = torch.nn.parallel.DistributedDataParallel
        original = distributed.__init__

        def init(self: Any, module: Any, device_ids: Any = None, output_device: Any = None, **kwargs: Any) -> None:
            original(self, module, device_ids=None, output_device=None, **kwargs)

        patches.set(distributed, "__init__", init)
        replicated = torch.nn.DataParallel
        original_replicated = replicated.__init__

        def init_replicated(self: Any, module: Any, *args: Any, **kwargs: Any) -> None:
            original_replicated(self, module)
            self.device_ids = []

        patches.set(replicated, "__init__", init_replicated)


_SILENT: dict[str, Any] = {
    "synchronize": None,
    "empty_cache": None,
    "set_device": None,
    "reset_peak_memory_stats": None,
    "reset_max_memory_allocated": None,
    "memory_allocated": 0,
    "max_memory_allocated": 0,
    "memory_reserved": 0,
    "max_memory_reserved": 0,
    "current_device": 0,
    "ipc_collect": None,
    "set_per_process_memory_fraction": None,
    "get_device_name": "pretended GPU",
    "get_device_capability": (8, 0),
    "mem_get_info": (1 << 36, 1 << 36),
    "utilization": 0,
}


def _constant(name: str, value: Any) -> Any:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return value

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


def pretend(patches: Patches, count: int) -> None:
    """Make torch say that `count` GPUs are there; tensors stay on the CPU through `Redirect`."""
    for name, value in {
        "is_available": True,
        "device_count": count,
        "is_initialized": True,
        "is_bf16_supported": True,
        "init": None,
        "_lazy_init": None,
        "nvtx_range": None,
        "get_rng_state": torch.get_rng_state(),
        "set_rng_state": None,
        "get_arch_list": ["sm_80"],
    }.items():
        if hasattr(torch.cuda, name):
            patches.set(torch.cuda, name, _constant(name, value))
    accelerator = getattr(torch, "accelerator", None)
    for name, value in {
        "is_available": True,
        "device_count": count,
        "current_accelerator": torch.device("cuda"),
        "current_device_index": 0,
        "current_stream": _NoStream(),
        "set_device_index": None,
        "set_stream": None,
        "synchronize": None,
    }.items():
        if hasattr(accelerator, name):
            patches.set(accelerator, name, _constant(name, value))

    class Properties:
        name = "pretended GPU"
        major, minor = 8, 0
        total_memory = 1 << 36
        multi_processor_count = 108

    patches.set(torch.cuda, "get_device_properties", _constant("get_device_properties", Properties()))

    class Event(torch.cuda.Event):  # type: ignore[misc]
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return object.__new__(_Clock)

    class Stream(torch.cuda.Stream):  # type: ignore[misc]
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return object.__new__(_NoStream)

    patches.set(torch.cuda, "Event", Event)
    patches.set(torch.cuda, "Stream", Stream)
    patches.set(torch.cuda, "current_stream", _constant("current_stream", _NoStream()))
    patches.set(torch.cuda, "default_stream", _constant("default_stream", _NoStream()))
    patches.set(torch.cuda, "stream", lambda stream: _NoStream())


class _Clock:
    def record(self, stream: Any = None) -> None:
        self.moment = time.perf_counter()

    def synchronize(self) -> None: ...

    def wait(self, stream: Any = None) -> None: ...

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: Any) -> float:
        return float(1000 * (other.moment - self.moment))


class _NoStream:
    def __enter__(self) -> _NoStream:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def synchronize(self) -> None: ...

    def wait_stream(self, stream: Any) -> None: ...

    def wait_event(self, event: Any) -> None: ...

    def record_event(self, event: Any = None) -> Any:
        return event or _Clock()

    def query(self) -> bool:
        return True

    def is_capturing(self) -> bool:
        return False
