"""Record every module call: its interval of autograd sequence numbers, its tensors, its place.

Autograd numbers the nodes of one thread in order of creation, so the nodes that a call made are exactly those in the
interval between the numbers seen before and after it. No reference to a graph is kept.
"""

from __future__ import annotations

import dataclasses
import threading
import weakref
from bisect import bisect_right
from typing import Any

import torch

from .places import Places
from .samples import HALF, Samples, measurable

sequence_number = torch._C._autograd._get_sequence_nr
_MAX_TENSORS = 16
_MAX_MEASURED_CALLS = 512
_MAX_GRADLESS_ROOTS = 2
_MAX_ROOTS = 2048


ACTIVATIONS = {
    name + "Backward0": label
    for name, label in {
        "Relu": "relu",
        "Sigmoid": "sigmoid",
        "Tanh": "tanh",
        "Softmax": "softmax",
        "LogSoftmax": "log_softmax",
        "Gelu": "gelu",
        "Silu": "silu",
        "LeakyRelu": "leaky_relu",
        "Elu": "elu",
        "Softplus": "softplus",
        "Hardtanh": "hardtanh",
        "Hardswish": "hardswish",
        "Hardsigmoid": "hardsigmoid",
        "Mish": "mish",
        "LogSigmoid": "log_sigmoid",
    }.items()
}


class Call:
    """One call of one module; `start` and `end` bound the sequence numbers of the autograd nodes it made."""

    __slots__ = (
        "activation",
        "autocast",
        "children",
        "collapse",
        "data",
        "end",
        "flows",
        "grad_enabled",
        "index",
        "inputs",
        "measured",
        "module",
        "order",
        "outputs",
        "parent",
        "place",
        "points",
        "rank_sample",
        "recomputed",
        "results",
        "skipped",
        "start",
        "stats",
        "thread",
        "time_view",
        "training",
    )

    def __init__(self, module: torch.nn.Module, parent: Call | None, order: int, thread: int) -> None:
        self.module = module
        self.parent = parent
        self.order = order
        self.thread = thread
        self.index = -1
        self.children = 0
        self.collapse = True
        self.skipped = False
        self.measured = False
        self.start = self.end = 0
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.points: list[tuple[int, int]] = []
        self.results: list[Any] = []
        self.flows: list[tuple[Call, Call, list[int], str]] = []
        self.stats: int | None = None
        self.data: int | None = None
        self.activation: str | None = None
        self.rank_sample: torch.Tensor | None = None
        self.place: tuple[str, int, str] | None = None
        self.time_view: Any = None
        self.training = module.training
        self.grad_enabled = torch.is_grad_enabled()
        self.autocast: str | None = None
        self.recomputed = False


class Timeline:
    """Who was running at each sequence number of one thread."""

    def __init__(self) -> None:
        self.stack: list[Call] = []
        self.bounds: list[int] = []
        self.owners: list[Call | None] = []
        self.checkpoint = 0
        self.eager: list[tuple[int, int]] = []

    def mark(self, number: int, owner: Call | None) -> None:
        self.bounds.append(number)
        self.owners.append(owner)

    def at(self, number: int) -> tuple[Call | None, int]:
        """The innermost call that ran when this number was given out, and the position in the timeline."""
        position = bisect_right(self.bounds, number) - 1
        return (self.owners[position], position) if position >= 0 else (None, -1)


def tensors_of(value: Any, found: list[torch.Tensor] | None = None, depth: int = 0) -> list[torch.Tensor]:
    """Tensors inside tuples, lists, dicts, dataclasses and packed sequences, in order, at most sixteen."""
    if found is None:
        found = []
    if len(found) >= _MAX_TENSORS or depth > 4 or value is None:
        return found
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, (tuple, list)):
        for item in value[:_MAX_TENSORS]:
            tensors_of(item, found, depth + 1)
    elif isinstance(value, dict):
        for item in list(value.values())[:_MAX_TENSORS]:
            tensors_of(item, found, depth + 1)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value)[:_MAX_TENSORS]:
            tensors_of(getattr(value, field.name, None), found, depth + 1)
    return found


def describe(tensor: torch.Tensor) -> dict[str, Any]:
    """The schema's TensorInfo."""
    return {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype)[6:],
        "requires_grad": tensor.requires_grad,
    }


class Calls:
    """The calls of the current segment."""

    def __init__(self, places: Places, samples: Samples) -> None:
        self.places = places
        self.samples = samples
        self.calls: list[Call] = []
        self.recording = True
        self.timelines: dict[int, Timeline] = {}
        self.output_points: dict[tuple[int, int], list[tuple[int, Call]]] = {}
        self.functions: dict[tuple[int, int], Any] = {}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._home = threading.get_ident()
        self.measured_count: dict[int, int] = {}
        self.roots_seen: dict[int, int] = {}
        self.total = 0
        self._graphless: dict[int, tuple[Any, Call]] = {}

    def thread(self) -> int:
        """A number of this thread that is never given again, unlike its identifier."""
        try:
            return int(self._local.number)
        except AttributeError:
            with self._lock:
                number = self._local.number = len(self.timelines)
                self.timelines[number] = Timeline()
            return number

    def timeline(self) -> Timeline:
        return self.timelines[self.thread()]

    def restart(self, recording: bool) -> None:
        """Begin a segment. What earlier ones know of the graph is kept: a generator's forward may be walked later."""
        for call in self.calls:
            call.results = []
        self.calls = []
        self.measured_count = {}
        self.roots_seen = {}
        self._graphless = {}
        self.recording = recording
        if not recording:
            self.output_points = {}
            self.functions = {}
            for timeline in self.timelines.values():
                timeline.bounds, timeline.owners = [], []

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Begin a call; None when this call and all below it are not recorded."""
        timeline = self.timeline()
        parent = timeline.stack[-1] if timeline.stack else None
        if parent is not None and parent.skipped:
            return None
        inputs = tensors_of(args)
        if kwargs and len(inputs) < _MAX_TENSORS:
            tensors_of(kwargs, inputs)
        call = Call(module, parent, self.total, self.thread())
        if parent is None and not self._wanted(module, inputs):
            call.skipped = True
        self.total += 1
        if parent is not None:
            parent.children += 1
        call.inputs = [describe(tensor) for tensor in inputs]
        if self._graphless:
            self._flows(call, inputs)
        call.place = self.places.here()
        call.recomputed = timeline.checkpoint > 0
        call.autocast = autocast_type()
        call.start = sequence_number()
        if self.recording:
            timeline.mark(call.start, call)
        timeline.stack.append(call)
        if not call.skipped:
            self.calls.append(call)
            given = inputs[0] if inputs and self.recording and _has_weight(module) else None
            if given is not None and not given.requires_grad and measurable(given):
                call.data = self.samples.take(given)
        return call

    def _wanted(self, module: torch.nn.Module, inputs: list[torch.Tensor]) -> bool:
        """Transforms are modules too, and an evaluation of many batches may come before the first step."""
        key = id(module)
        if not torch.is_grad_enabled():
            seen = self.roots_seen[-key] = self.roots_seen.get(-key, 0) + 1
            return seen <= _MAX_GRADLESS_ROOTS and next(module.parameters(), None) is not None
        if next(module.parameters(), None) is None and not any(tensor.requires_grad for tensor in inputs):
            return False
        seen = self.roots_seen[key] = self.roots_seen.get(key, 0) + 1
        return seen <= _MAX_ROOTS

    def _flows(self, call: Call, inputs: list[torch.Tensor]) -> None:
        """Data without a graph is followed by the identity of the tensor."""
        for tensor in inputs:
            entry = self._graphless.get(id(tensor))
            if entry is not None and entry[0]() is tensor:
                call.flows.append((entry[1], call, list(tensor.shape), str(tensor.dtype)[6:]))

    def leave(self, call: Call, output: Any, failed: bool) -> None:
        """End a call: note where its outputs sit in the graph and copy a sample of the first."""
        timeline = self.timelines[call.thread]
        call.end = sequence_number()
        while timeline.stack and timeline.stack[-1] is not call:
            timeline.stack.pop()
        if timeline.stack:
            timeline.stack.pop()
        if self.recording:
            timeline.mark(call.end, call.parent)
        if failed or call.skipped or not self.recording:
            return
        tensors = tensors_of(output)
        call.outputs = [describe(tensor) for tensor in tensors]
        key = id(call.module)
        count = self.measured_count[key] = self.measured_count.get(key, 0) + 1
        call.measured = count <= _MAX_MEASURED_CALLS
        first = True
        for tensor in tensors:
            node = tensor.grad_fn
            if node is not None:
                point = (node._sequence_nr(), tensor.output_nr)
                call.points.append(point)
                self.output_points.setdefault((call.thread, point[0]), []).append((point[1], call))
                if threading.get_ident() != self._home:
                    call.results.append(node)
            elif not call.children:
                self._graphless[id(tensor)] = (weakref.ref(tensor), call)
            if first and call.measured and measurable(tensor):
                first = False
                kind = None
                if node is not None and not call.children:
                    kind = call.activation = ACTIVATIONS.get(node.name())
                    if _has_weight(call.module):
                        call.rank_sample = _matrix(tensor)
                call.stats = self.samples.take(tensor, kind, _may_produce(call, tensor))


def _may_produce(call: Call, tensor: torch.Tensor) -> bool:
    """Whether a call could turn finite input into a few NaNs that a sample would miss.

    torch's own layers in float32 cannot: what they spread or overflow shows in a sample.
    """
    if call.children:
        return False
    return tensor.dtype in HALF or not type(call.module).__module__.startswith("torch.nn.modules")


def _has_weight(module: torch.nn.Module) -> bool:
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() > 1


def _matrix(tensor: torch.Tensor) -> torch.Tensor | None:
    """(batch, features), at most 32 × 32, for the effective rank."""
    with torch._C.DisableTorchFunction():
        return _corner(tensor)


def _corner(tensor: torch.Tensor) -> torch.Tensor | None:
    if tensor.dim() < 2 or tensor.shape[0] < 2 or tensor.shape[1] < 2:
        return None
    rows = tensor.detach()[:32]
    if rows.dim() == 3:
        rows = rows[:, -1]
    while rows.dim() > 2:
        rows = rows.select(2, rows.shape[2] // 2)
    return rows[:, :32].clone()


def autocast_type() -> str | None:
    """The type that autocast computes in here; None where it is off."""
    if _BY_DEVICE:
        for device in ("cuda", "cpu"):
            if torch.is_autocast_enabled(device):
                return str(torch.get_autocast_dtype(device))[6:]
        return None
    if torch.is_autocast_enabled():
        return "float16"
    return "bfloat16" if torch.is_autocast_cpu_enabled() else None


# Since torch 2.4 the question is asked for each device; the older forms warn there.
_BY_DEVICE = hasattr(torch, "get_autocast_dtype")
