"""Watch torch functions: send accelerators' tensors to the CPU, note the user's line of each operation and its loss.

A TorchFunctionMode costs about one microsecond a call. It is on only while there is something to redirect or a round
to measure, and it is pushed in every thread that starts meanwhile.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .calls import ACTIVATIONS, Calls, Timeline, sequence_number
from .devices import Redirect
from .patches import Patches
from .samples import HALF, measurable

_MAX_SAMPLED = 1024
_VIEW_NAMES = """View UnsafeView Reshape ReshapeAlias Transpose Permute T Unsqueeze Squeeze Clone Contiguous ToCopy
Alias AsStrided ViewAs Flatten Detach Copy Swapaxes MovedimInt Movedim Mt Adjoint Expand Slice Select"""
VIEWS = frozenset(name + "Backward0" for name in _VIEW_NAMES.split()) | {
    "SqueezeBackward1",
    "SqueezeBackward2",
    "TransposeBackward1",
    "CopySlices",
    "CopyBackwards",
}
# Operations that turn finite numbers into NaN or Inf, at single elements as a rule.
_PRODUCERS = (
    "Log",
    "Sqrt",
    "Rsqrt",
    "Div",
    "Pow",
    "Exp",
    "Acos",
    "Asin",
    "Tan",
    "Reciprocal",
    "Norm",
    "Linalg",
    "Atan",
)


class Operations:
    """The user's line, and a sample of the result, of each operation outside library modules, by sequence number."""

    def __init__(self) -> None:
        self.numbers: dict[int, list[int]] = {}
        self.notes: dict[int, list[tuple[int, int, Any, int | None]]] = {}
        self.sampled = 0

    def add(self, thread: int, before: int, after: int, made: int, place: Any, ticket: int | None) -> None:
        """Nodes from `before` to `after` are one operation's; node `made` computed the values that were sampled."""
        self.numbers.setdefault(thread, []).append(before)
        self.notes.setdefault(thread, []).append((after, made, place, ticket))

    def find(self, thread: int, number: int) -> tuple[Any, int | None]:
        """(place, ticket) of the operation that made node `number`; the ticket only for the node of its result."""
        position = bisect_right(self.numbers.get(thread, ()), number) - 1
        if position < 0:
            return (None, None)
        after, made, place, ticket = self.notes[thread][position]
        if number >= after:
            return (None, None)
        return (place, ticket if number == made else None)

    def restart(self, keep: bool) -> None:
        self.sampled = 0
        if not keep:
            self.numbers, self.notes = {}, {}


class Watch(TorchFunctionMode):  # type: ignore[misc]
    """`redirect` changes arguments; `calls` (None when not measuring) receives what the operation did."""

    def __init__(self, redirect: Redirect | None, calls: Calls | None, operations: Operations) -> None:
        super().__init__()
        self.redirect = redirect
        self.calls = calls
        self.operations = operations
        self.losses: dict[Any, Callable[..., None]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if kwargs is None:
            kwargs = {}
        if self.redirect is not None:
            if self.redirect.identity(func):
                return args[0]
            changed = self.redirect.arguments(func, args, kwargs)
            if changed is not None:
                args, kwargs = changed
        calls = self.calls
        if calls is None or not calls.recording:
            return func(*args, **kwargs)
        before = sequence_number()
        result = func(*args, **kwargs)
        after = sequence_number()
        if after != before and torch._C._current_graph_task_id() == -1:
            observe = self.losses.get(func)
            if observe is not None:
                observe(func, args, kwargs, result, before, after)
            timeline = calls.timeline()
            if self._interesting(timeline, calls):
                self._note(calls, before, after, result)
        return result

    def _interesting(self, timeline: Timeline, calls: Calls) -> bool:
        if not timeline.stack:
            return True
        call = timeline.stack[-1]
        return not call.skipped and users_own(type(call.module), calls)

    def _note(self, calls: Calls, before: int, after: int, result: Any) -> None:
        ticket, made = None, after - 1
        if (
            self.operations.sampled < _MAX_SAMPLED
            and measurable(result)
            and result.grad_fn is not None
            and result._base is None
        ):
            self.operations.sampled += 1
            made = _maker(result.grad_fn, before)
            name = result.grad_fn.name()
            ticket = calls.samples.take(
                result, ACTIVATIONS.get(name), result.dtype in HALF or name.startswith(_PRODUCERS)
            )
        self.operations.add(calls.thread(), before, after, made, calls.places.here(), ticket)


def _maker(node: Any, before: int) -> int:
    """Number of the node that computed a result: a product of batches ends in a view of it."""
    number = int(node._sequence_nr())
    while node.name() in VIEWS and node.next_functions:
        node = node.next_functions[0][0]
        if node is None or not before <= node._sequence_nr() < number:
            break
        number = int(node._sequence_nr())
    return number


_OWN: dict[type, bool] = {}


def users_own(kind: type, calls: Calls) -> bool:
    """Whether a module class is defined in the user's files."""
    found = _OWN.get(kind)
    if found is None:
        import sys

        module = sys.modules.get(kind.__module__)
        file = getattr(module, "__file__", None)
        found = _OWN[kind] = kind.__module__ == "__main__" or (
            file is not None and calls.places.user_file(file) is not None
        )
    return found


def in_every_thread(patches: Patches, watch: Watch) -> None:
    """Push the mode in threads that start from now on; modes are thread-local."""
    original = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def bootstrap(self: threading.Thread) -> None:
        with watch:
            original(self)

    patches.set(threading.Thread, "_bootstrap_inner", bootstrap)
