"""The state of one trace: segments between OptimizerSteps, events in true order, parameters before and after.

A segment is what lies between two OptimizerSteps of whichever optimizer. The segment that ends with the k-th step of
an optimizer belongs to round k. Everything is reduced when a segment ends: one transfer from the device.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from .backward_calls import BackwardCalls
from .calls import Call, Calls
from .distributions import Distributions
from .functions import Operations
from .gradients import Gradients
from .graph import Graph
from .growth import Growth
from .loaders import Loaders
from .losses import LossCall, Losses
from .places import Places, as_place
from .recurrent import Recurrent
from .samples import Samples, Scalars
from .scaling import Scaling
from .snapshots import Snapshots
from .stepping import Stepping
from .stop import Stopper
from .tracked import OptimizerState, TensorState

_ROWS, _COLUMNS = 32, 64
_MAX_EVENTS = 20000
_MAX_STATE_DICTS = 32
_MAX_LIVE_NODES = 200_000


class Segment:
    """A finished segment: its calls and graph, with statistics reduced to numbers."""

    def __init__(
        self,
        round_: int,
        calls: list[Call],
        graph: Graph,
        losses: list[LossCall],
        measured: bool,
    ) -> None:
        self.round = round_
        self.calls = calls
        self.graph = graph
        self.losses = losses
        self.measured = measured


class Recorder:
    """Gathers everything; the modules that patch torch only translate calls into its methods."""

    def __init__(
        self,
        places: Places,
        stopper: Stopper,
        *,
        steps: int = 3,
        graph_rounds: int = 2,
        sample_limit: int = 4096,
        backward_limit: int = 64,
        stop_at_end: bool = True,
        awaited: Sequence[str] = (),
        patience: float = 0.0,
    ) -> None:
        self.places = places
        self.stopper = stopper
        self.steps_wanted = steps
        self.graph_rounds = graph_rounds
        self.backward_limit = backward_limit
        self.stop_at_end = stop_at_end
        self.awaited = set(awaited)
        self.patience = patience
        self._evaluated_at: int | None = None
        self.samples = Samples(sample_limit)
        self.weight_limit = max(1024, sample_limit // 4)
        self.scalars = Scalars()
        self.operations = Operations()
        self.calls = Calls(places, self.samples)
        self.losses = Losses(self.calls, self.operations)
        self.graph = Graph(self.calls, self.operations, self.samples)
        self.segments: list[Segment] = []
        self.scopes: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.tensors: dict[int, TensorState] = {}
        self.optimizers: list[OptimizerState] = []
        self._optimizer_numbers: dict[int, int] = {}
        self.built: dict[int, tuple[Any, Any]] = {}
        self.called_with_grad: set[int] = set()
        self.called_without_grad: set[int] = set()
        self.roots: dict[int, torch.nn.Module] = {}
        self.custom_losses: list[LossCall] = []
        self.backwards = 0
        self.backwards_since_step = 0
        self.manual_rounds = 0
        self.steps_seen = 0
        self.device: torch.device | None = None
        self.first_step_at: float | None = None
        self.finished = False
        self.on_finish: list[Any] = []
        self.on_backward: list[Any] = []
        self.on_step: list[Any] = []
        self.backward_calls = BackwardCalls(self)
        self.gradients = Gradients(self)
        self.stepping = Stepping(self)
        self.scaling = Scaling(self)
        self.snapshots = Snapshots(self)
        self.growth = Growth(self)
        self.recurrent = Recurrent(self)
        self.loaders = Loaders(places)
        self.distributions = Distributions(places)
        self.quiet = 0
        self._lock = threading.RLock()
        self._process = os.getpid()

    @property
    def active(self) -> bool:
        """Whether to record: not in forked children, not while we ourselves run torch, not during a backward."""
        return (
            not self.finished
            and self.quiet == 0
            and os.getpid() == self._process
            and torch._C._current_graph_task_id() == -1
        )

    def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Append an event at the current place; its round is set when the segment ends."""
        stack = self.places.stack(sys._getframe(1))
        entry = {
            "kind": kind,
            "order": len(self.events),
            "round": -1,
            "place": as_place(stack[0] if stack else None),
            "stack": [as_place(place) for place in stack],
            **fields,
        }
        if len(self.events) < _MAX_EVENTS:
            self.events.append(entry)
        return entry

    def module_built(self, module: Any) -> None:
        self.built[id(module)] = (weakref.ref(module), self.places.construction(module))

    def place_of(self, module: Any) -> Any:
        """Where a module was constructed, None when it came from a copy or a pickle."""
        entry = self.built.get(id(module))
        if entry is None or entry[0]() is not module:
            return None
        return entry[1]

    def track(self, tensor: torch.Tensor) -> TensorState:
        state = self.tensors.get(id(tensor))
        if state is None:
            state = self.tensors[id(tensor)] = TensorState(tensor)
        return state

    def optimizer_state(self, optimizer: Any) -> OptimizerState:
        number = self._optimizer_numbers.get(id(optimizer))
        if number is None:
            number = self._optimizer_numbers[id(optimizer)] = len(self.optimizers)
            self.optimizers.append(OptimizerState(optimizer, number, self.places.construction(optimizer)))
            for tensor in self.optimizers[-1].parameters():
                self.track(tensor)
        return self.optimizers[number]

    def optimizer_number(self, optimizer: Any) -> int | None:
        """Number of a known optimizer, seen through wrappers that keep it in `.optimizer`."""
        for _ in range(4):
            if optimizer is None:
                return None
            number = self._optimizer_numbers.get(id(optimizer))
            if number is not None:
                return number
            optimizer = getattr(optimizer, "optimizer", None)
        return None

    def forward(self, call: Call) -> None:
        """A root call was recorded."""
        module = call.module
        self.roots.setdefault(id(module), module)
        modes: dict[str, bool] = {}
        first = True
        for name, child in module.named_modules():
            if first:
                for parameter in module.parameters():
                    self.track(parameter)
                first = False
            if hasattr(child, "p") or hasattr(child, "running_mean"):
                modes[name] = child.training
        self.event(
            "forward",
            node=call,
            fqn=module,
            class_name=type(module).__name__,
            training=module.training,
            grad_enabled=call.grad_enabled,
            modes=modes,
        )
        if self.device is None or self.device.type == "cpu":
            for tensor in module.parameters():
                self.device = tensor.device
                break

    def mode_switched(self, module: Any, training: bool) -> None:
        """`train` or `eval` was called on a module by the script."""
        self.event("mode", fqn=module, class_name=type(module).__name__, training=training)
        if not training and self.steps_seen and self._evaluated_at is None:
            self._evaluated_at = self.backwards

    def _provisional_round(self) -> int:
        counts = [state.steps for state in self.optimizers if state.steps]
        return min(counts) if counts else self.manual_rounds

    def close_segment(self, state: OptimizerState | None) -> None:
        """Reduce everything of the segment to numbers and start the next."""
        if state is None:
            round_ = self.manual_rounds
            self.manual_rounds += 1
        else:
            round_ = state.steps - 1
        self.quiet += 1
        try:
            self.samples.flush()
            self.scalars.flush()
        finally:
            self.quiet -= 1
        for entry in reversed(self.events):
            if entry["round"] >= 0:
                break
            entry["round"] = round_
        losses = self.losses.take()
        for loss in losses:
            loss.record["round"] = round_
        self.segments.append(Segment(round_, self.calls.calls, self.graph, losses, self.calls.recording))
        self.calls.restart(self._wants_graph())
        self.operations.restart(self.calls.recording)
        self.graph = Graph(self.calls, self.operations, self.samples)

    def _wants_graph(self) -> bool:
        if not any(state.steps for state in self.optimizers):
            return self.manual_rounds < self.graph_rounds
        return any(state.steps < self.graph_rounds for state in self.optimizers if state.parameters())

    def finish(self) -> None:
        """Measurement is over: run what was asked for the end (reports), once."""
        with self._lock:
            if self.finished:
                return
            self.finished = True
        for action in self.on_finish:
            action()

    def _frames(self) -> list[dict[str, Any]]:
        """Local variables of the user's running functions."""
        scopes = []
        frame: Any = sys._getframe()
        while frame is not None:
            if self.places.user_file(frame.f_code.co_filename) is not None:
                scopes.append(frame.f_locals)
            frame = frame.f_back
        return scopes
