"""The state of one trace: segments between OptimizerSteps, events in true order, parameters before and after.

A segment is what lies between two OptimizerSteps of whichever optimizer. The segment that ends with the k-th step of
an optimizer belongs to round k. Everything is reduced when a segment ends: one transfer from the device.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import torch

from .calls import Call, Calls, autocast_type
from .distributions import Distributions
from .functions import Operations
from .graph import Graph, Walk
from .loaders import Loaders
from .losses import LossCall, Losses
from .places import Places, as_place
from .recurrent import Recurrent
from .samples import Later, Samples, Scalars, norms, sample
from .stop import Stopper

_ROWS, _COLUMNS = 32, 64
_MAX_EVENTS = 20000
_MAX_STATE_DICTS = 32
_MAX_LIVE_NODES = 200_000


class TensorState:
    """A parameter (or a tensor that an optimizer or the graph treats as one) and what was seen of it."""

    __slots__ = ("before", "first_rows", "initial", "reached", "steps", "tensor", "version", "weight_rows")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.before: torch.Tensor | None = None
        self.initial: int | None = None
        self.first_rows: torch.Tensor | None = None
        self.weight_rows: torch.Tensor | None = None
        self.version = 0
        self.reached = False
        self.steps: list[dict[str, Any]] = []


class OptimizerState:
    """One optimizer object: where it was built and what it did."""

    def __init__(self, optimizer: Any, number: int, place: Any) -> None:
        self.optimizer = optimizer
        self.number = number
        self.place = place
        self.steps = 0
        self.backwards = 0
        self.stale: dict[int, Later] = {}
        self.fresh: set[int] = set()
        self.cleared = False
        self.scale: Any = None
        self.closure_calls = 0
        self.closure_needed = False
        self.initial_groups: list[dict[str, Any]] = []

    def parameters(self) -> list[torch.Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if isinstance(p, torch.Tensor)]


class StateDict:
    """The event of a `state_dict` call, with weak references to the tensors that it handed out."""

    def __init__(self, entry: dict[str, Any], tensors: list[torch.Tensor]) -> None:
        self.entry = entry
        self.tensors = [weakref.ref(tensor) for tensor in tensors]


class Backward:
    """What one backward call reached."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.leaves: list[torch.Tensor] = []
        self.loss_numbers: list[int] = []
        self.root_numbers: list[tuple[int, int]] = []


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
        self._waiting_since: float | None = None
        self._evaluated_at: int | None = None
        self.state_dicts: list[StateDict] = []
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
        self.dropped_rounds = 0
        self.steps_seen = 0
        self.growth_nodes: dict[int, int] = {}
        self.growth_resident: dict[int, int] = {}
        self.growth_saved: dict[int, int] = {}
        self.loss_history: list[tuple[int, set[tuple[int, int]]]] = []
        self.device: torch.device | None = None
        self.first_step_at: float | None = None
        self.finished = False
        self.on_finish: list[Any] = []
        self.on_backward: list[Any] = []
        self.on_step: list[Any] = []
        self.step_depth = 0
        self.skipped_steps = 0
        self.scaled_losses: dict[int, tuple[Any, Any]] = {}
        self.scaler: Any = None
        self.recurrent = Recurrent(self)
        self.loaders = Loaders(places)
        self.distributions = Distributions(places)
        self.quiet = 0
        self._had_gradient: dict[int, Any] = {}
        self._versions: dict[int, int] = {}
        self._lock = threading.RLock()
        self._process = os.getpid()

    # -- bookkeeping ---------------------------------------------------------------------------------------------

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

    # -- forward -------------------------------------------------------------------------------------------------

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

    # -- backward ------------------------------------------------------------------------------------------------

    def before_backward(
        self, kind: str, roots: list[torch.Tensor], retain: bool, create: bool, scaled: bool
    ) -> tuple[dict[str, Any], Backward, Any]:
        """Walk the graph, hook it, and note what the gradients were before."""
        self.stopper.insist()
        self._notice_manual_clear()
        info = Backward(self.backwards)
        self.backwards += 1
        self.backwards_since_step += 1
        if self._evaluated_at is not None and self.backwards > self._evaluated_at:
            self.awaited.discard("evaluation")
        starts = [tensor.grad_fn for tensor in roots if tensor.grad_fn is not None]
        walk = Walk(starts)
        info.leaves = [leaf for _, leaf in walk.leaves]
        thread = self.calls.thread()
        round_ = self._provisional_round()
        # Observers may run the graph backward themselves, which our hooks must not see.
        for observer in self.on_backward:
            observer(kind, roots, walk, round_)
        measured = self.calls.recording
        remove = self.graph.attach(walk, thread, info.number) if measured else (lambda: None)
        loss = self._loss_above(walk, starts, roots, thread) if kind == "backward" else None
        if kind == "backward":
            self.growth_nodes[round_] = max(self.growth_nodes.get(round_, 0), len(walk.nodes))
            self.growth_resident[round_] = _resident()
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                self.growth_saved[round_] = int(torch.cuda.memory_allocated())
            self.loss_history.append((round_, {(thread, start._sequence_nr()) for start in starts}))
        first = roots[0] if roots else None
        entry = self.event(
            kind,
            id=info.number,
            loss=loss,
            value=self.scalars.later(first) if first is not None and first.numel() == 1 and _real(first) else None,
            shape=list(first.shape) if first is not None else [],
            requires_grad=bool(first is not None and first.requires_grad),
            retain_graph=retain,
            create_graph=create,
            under_autocast=autocast_type() is not None,
            scaled=scaled,
            reached=[],
            graph_nodes=len(walk.nodes),
            kept_graphs=sum(leaf.grad is not None and leaf.grad.grad_fn is not None for leaf in info.leaves),
            written=self._written(info.leaves),
            saved_bytes=self.growth_saved.get(round_),
            nonfinite_producer=None,
        )
        if kind == "backward":
            self._note_stale(info.leaves)
        walk.nodes.clear()
        return entry, info, remove

    def after_backward(self, entry: dict[str, Any], info: Backward, remove: Any, before: dict[int, Any]) -> None:
        remove()
        self.graph.finish_backward()
        if entry["kind"] != "backward":
            entry["reached"] = info.leaves
            return
        leaves = {id(leaf) for leaf in info.leaves}
        reached = [leaf for leaf in info.leaves if leaf.grad is not None]
        for key, state in self.tensors.items():
            if key not in leaves and state.tensor.is_leaf and _mark(state.tensor) != before.get(key):
                reached.append(state.tensor)
        entry["reached"] = reached
        found = {id(leaf) for leaf in reached}
        for leaf in reached:
            self.track(leaf).reached = True
        for holder in self.optimizers:
            held = {id(p) for p in holder.parameters()}
            if held & found:
                holder.backwards += 1
                holder.cleared = False
                holder.fresh |= held & found
                if entry["scaled"]:
                    holder.scale = self.factor(self.scaler)
        self._remember_gradients()
        if self.backwards_since_step >= self.backward_limit and self.stop_at_end:
            self.close_segment(None)
            self.finish()
            self.stopper.stop()

    def marks(self) -> dict[int, Any]:
        """State of every tracked gradient, to see which ones a backward touches."""
        return {key: _mark(state.tensor) for key, state in self.tensors.items() if state.tensor.is_leaf}

    def _loss_above(self, walk: Walk, starts: list[Any], roots: list[torch.Tensor], thread: int) -> int | None:
        """The loss call whose nodes are nearest below the backward's root; a custom one where there is none."""
        best: LossCall | None = None
        numbers = set(walk.numbers)
        for loss in self.losses.found:
            inside = any(number in numbers for number in range(loss.before, loss.after))
            if loss.thread == thread and inside and (best is None or loss.before > best.before):
                best = loss
        if best is not None:
            return best.number
        if not roots or not self.calls.recording:
            return None
        return self.losses.custom(roots[0])

    def _written(self, leaves: list[torch.Tensor]) -> int | None:
        """How many of the leaves were written since the backward before; None where none was reached before."""
        known = [leaf for leaf in leaves if id(leaf) in self._versions]
        moved = sum(leaf._version != self._versions[id(leaf)] for leaf in known)
        self._versions.update((id(leaf), leaf._version) for leaf in leaves)
        return moved if known else None

    def _note_stale(self, leaves: list[torch.Tensor]) -> None:
        """A gradient that is not zero at the first backward after its optimizer's step was not cleared."""
        wanted: list[tuple[OptimizerState, int]] = []
        tensors: list[torch.Tensor] = []
        reached = {id(leaf) for leaf in leaves}
        for state in self.optimizers:
            if not state.steps:
                continue
            for tensor in state.parameters():
                key = id(tensor)
                if key in reached and key not in state.fresh and tensor.grad is not None:
                    wanted.append((state, key))
                    tensors.append(tensor.grad)
        for (state, key), norm in zip(wanted, norms(tensors), strict=False):
            state.stale[key] = self.scalars.later(norm)

    def _remember_gradients(self) -> None:
        self._had_gradient = {
            key: state.tensor.grad._version
            for key, state in self.tensors.items()
            if state.tensor.is_leaf and state.tensor.grad is not None
        }

    def _notice_manual_clear(self) -> None:
        """`p.grad = None` and `p.grad.zero_()` leave no call behind; they show between two events."""
        gone = zeroed = 0
        suspects: list[torch.Tensor] = []
        for key, version in self._had_gradient.items():
            state = self.tensors[key]
            gradient = state.tensor.grad
            if gradient is None:
                gone += 1
                self._forget(key)
            elif gradient._version != version:
                suspects.append(state.tensor)
        if suspects:
            values = norms([t.grad for t in suspects if t.grad is not None])
            numbers = torch.stack([value.to(values[0].device) for value in values]).tolist()
            for tensor, norm in zip(suspects, numbers, strict=True):
                if norm == 0.0:
                    zeroed += 1
                    self._forget(id(tensor))
        if gone or zeroed:
            self.event("zero_grad", how="manual", optimizer=None, parameters=gone + zeroed, discarded_norm=None)
            self._count_dropped_round()
        self._had_gradient = {}

    def _forget(self, key: int) -> None:
        for state in self.optimizers:
            state.stale.pop(key, None)
            if key in state.fresh:
                state.fresh.discard(key)
                state.cleared = True

    # -- clearing and clipping -----------------------------------------------------------------------------------

    def clearing(self, how: str, owner: Any, tensors: list[torch.Tensor]) -> None:
        """zero_grad of an optimizer or a module, before it happens."""
        self.stopper.insist()
        self._notice_manual_clear()
        with_gradient = [tensor for tensor in tensors if tensor.grad is not None]
        discarded = None
        if with_gradient and self.backwards_since_step:
            values = norms([tensor.grad for tensor in with_gradient if tensor.grad is not None])
            discarded = self.scalars.later(_total(values))
        self.event(
            "zero_grad",
            how=how,
            optimizer=self.optimizer_number(owner) if how == "optimizer" else None,
            parameters=len(with_gradient),
            discarded_norm=discarded,
        )
        for tensor in tensors:
            self._forget(id(tensor))
        if self.backwards_since_step and with_gradient:
            self._count_dropped_round()
        self.calls_after_clear()

    def _count_dropped_round(self) -> None:
        """Backwards whose gradients were cleared without an OptimizerStep: a loop that never steps.

        A closure clears during the step.
        """
        if self.backwards_since_step and not self.step_depth and not self.steps_seen:
            self.dropped_rounds += 1
            self.close_segment(None)
            if self.dropped_rounds >= self.steps_wanted + 1 and self.stop_at_end:
                self.finish()
                self.stopper.stop()

    def calls_after_clear(self) -> None:
        self._had_gradient = {}

    def clip(self, how: str, limit: float, tensors: list[torch.Tensor], scaled: bool) -> dict[str, Any]:
        """Before the clip happens."""
        self.stopper.insist()
        gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
        return self.event(
            "clip",
            how=how,
            max_norm=limit,
            norm_before=self.scalars.later(_total(norms(gradients))) if gradients else None,
            norm_after=None,
            parameters=len(tensors),
            with_gradient=len(gradients),
            names=list(tensors),
            scaled=scaled,
            since_step=self.backwards_since_step,
        )

    def clipped(self, entry: dict[str, Any], tensors: list[torch.Tensor]) -> None:
        gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
        if gradients:
            entry["norm_after"] = self.scalars.later(_total(norms(gradients)))
        if self._had_gradient:
            self._remember_gradients()

    # -- OptimizerStep -------------------------------------------------------------------------------------------

    def before_step(self, optimizer: Any, closure: bool) -> dict[str, Any]:
        self.stopper.insist()
        state = self.optimizer_state(optimizer)
        self._notice_manual_clear()
        parameters = state.parameters()
        with_gradient = [p for p in parameters if p.grad is not None]
        gradient_norms = norms([p.grad for p in with_gradient if p.grad is not None])
        measured = dict(zip((id(p) for p in with_gradient), gradient_norms, strict=False))
        laters: dict[int, Later] = {}
        for tensor in parameters:
            tracked = self.track(tensor)
            tracked.before = sample(tensor.detach(), self.weight_limit) if tensor.numel() else None
            tracked.version = tensor._version
            if tracked.first_rows is None and tensor.grad is not None and tensor.dim() > 1 and _plain(tensor.grad):
                tracked.first_rows = _some_rows(tensor.grad)
            if tracked.weight_rows is None and tensor.dim() > 1 and _plain(tensor):
                tracked.weight_rows = _some_rows(tensor)
            if id(tensor) in measured:
                laters[id(tensor)] = self.scalars.later(measured[id(tensor)])
        return self.event(
            "optimizer_step",
            optimizer=state.number,
            count=state.steps,
            grad_norm=self.scalars.later(_total(gradient_norms)) if gradient_norms else None,
            with_gradient=len(with_gradient),
            without_gradient=len(parameters) - len(with_gradient),
            backwards=state.backwards,
            stale=False,
            stale_parameters=dict(state.stale),
            cleared_since_backward=state.cleared,
            closure=closure,
            scale=state.scale,
            lr=[_number(group.get("lr")) for group in state.optimizer.param_groups],
            norms=laters,
        )

    def after_step(self, entry: dict[str, Any], optimizer: Any) -> None:
        state = self.optimizer_state(optimizer)
        number = state.steps
        laters = entry.pop("norms")
        if entry["closure"]:
            self._after_closure(entry, state, laters)
        for tensor in state.parameters():
            tracked = self.track(tensor)
            if tracked.before is None:
                continue
            if self.waiting:
                tracked.before = None
                continue
            after = sample(tensor.detach(), self.weight_limit)
            before = tracked.before
            ticket = self.samples.add(before, tensor.numel())
            moved = self.samples.add(after - before, tensor.numel()) if after.shape == before.shape else None
            tracked.steps.append(
                {
                    "round": number,
                    "optimizer": state.number,
                    "grad_norm": laters.get(id(tensor)),
                    "before": ticket,
                    "moved": moved,
                    "version_moved": tensor._version != tracked.version,
                }
            )
            tracked.before = None
            if tracked.initial is None:
                tracked.initial = ticket
        state.steps += 1
        state.backwards = 0
        state.stale = {}
        state.fresh = set()
        state.cleared = False
        state.scale = None
        self.steps_seen += 1
        self.dropped_rounds = 0
        self.backwards_since_step = 0
        self._remember_gradients()
        self._look_at_state_dicts()
        for observer in self.on_step:
            observer(state)
        self.close_segment(state)
        if self.first_step_at is None:
            self.first_step_at = time.monotonic()
        if self.stop_at_end and self._enough():
            self.finish()
            self.stopper.stop()

    def _after_closure(self, entry: dict[str, Any], state: OptimizerState, laters: dict[int, Later]) -> None:
        """The gradients of a step with a closure exist only once the closure has run."""
        with_gradient = [p for p in state.parameters() if p.grad is not None]
        values = norms([p.grad for p in with_gradient if p.grad is not None])
        for tensor, norm in zip(with_gradient, values, strict=False):
            laters[id(tensor)] = self.scalars.later(norm)
        entry["grad_norm"] = self.scalars.later(_total(values)) if values else None
        entry["with_gradient"] = len(with_gradient)
        entry["without_gradient"] = len(state.parameters()) - len(with_gradient)
        entry["backwards"] = state.backwards
        entry["stale_parameters"] = dict(state.stale)

    def _enough(self) -> bool:
        """Every optimizer that steps at all has its steps; a critic may step often before its generator does."""
        counts = [state.steps for state in self.optimizers if state.parameters()]
        if not counts or (min(counts) < self.steps_wanted and max(counts) < 2 * self.steps_wanted + 4):
            return False
        if not self.awaited:
            return True
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return time.monotonic() - self._waiting_since > self.patience

    @property
    def waiting(self) -> bool:
        """Whether the steps wanted were seen and the run goes on only for what is awaited."""
        return self._waiting_since is not None

    def mode_switched(self, module: Any, training: bool) -> None:
        """`train` or `eval` was called on a module by the script."""
        self.event("mode", fqn=module, class_name=type(module).__name__, training=training)
        if not training and self.steps_seen and self._evaluated_at is None:
            self._evaluated_at = self.backwards

    def state_taken(self, module: Any, state: dict[str, Any]) -> None:
        """`state_dict` was called on a module by the script."""
        entry = self.event(
            "state_dict", fqn=module, class_name=type(module).__name__, alive_at_step=False, aliased=None
        )
        tensors = [tensor for tensor in state.values() if isinstance(tensor, torch.Tensor)]
        if len(self.state_dicts) < _MAX_STATE_DICTS:
            self.state_dicts.append(StateDict(entry, tensors))

    def _look_at_state_dicts(self) -> None:
        """After an OptimizerStep: which state dicts live on, and do they share storage with what was just written?"""
        if not self.state_dicts:
            return
        owned = {state.tensor.data_ptr() for state in self.tensors.values() if state.steps}
        for kept in self.state_dicts:
            alive = [tensor for reference in kept.tensors if (tensor := reference()) is not None]
            kept.entry["alive_at_step"] = bool(alive)
            kept.entry["aliased"] = any(tensor.data_ptr() in owned for tensor in alive)
        self.awaited.discard("state-dict")

    def wrap_closure(self, optimizer: Any, closure: Any) -> Any:
        """The user's closure, counted; what an optimizer without gradients at its step lives from."""
        state = self.optimizer_state(optimizer)
        state.closure_calls = 0

        def evaluate(*args: Any, **kwargs: Any) -> Any:
            before = self.backwards
            result = closure(*args, **kwargs)
            value: Any = None
            if isinstance(result, torch.Tensor) and result.numel() == 1:
                value = self.scalars.later(result)
            elif isinstance(result, (int, float)):
                value = float(result)
            self.event(
                "closure",
                optimizer=state.number,
                evaluation=state.closure_calls,
                value=value,
                backwards=self.backwards - before,
            )
            state.closure_calls += 1
            return result

        return evaluate

    # -- mixed precision -----------------------------------------------------------------------------------------

    def was_scaled(self, loss: torch.Tensor) -> bool:
        """Whether GradScaler.scale returned this very tensor; its scaler is then the one in force."""
        entry = self.scaled_losses.get(id(loss))
        if entry is None or entry[0]() is not loss:
            return False
        self.scaler = entry[1]
        return True

    def factor(self, scaler: Any) -> Any:
        """The scaler's factor without waiting for the device."""
        scale = getattr(scaler, "_scale", None)
        if isinstance(scale, torch.Tensor):
            return self.scalars.later(scale.clone())
        return float(scaler.get_scale())

    def unscaled(self, optimizer: Any) -> None:
        number = self.optimizer_number(optimizer)
        if number is not None:
            self.optimizers[number].scale = None

    def scale_of(self, tensor: torch.Tensor) -> Any:
        for state in self.optimizers:
            if state.scale is not None and any(p is tensor for p in state.parameters()):
                return state.scale
        return None

    def gradients_rewritten(self) -> None:
        """Gradients changed in place by something that is not a clear."""
        if self._had_gradient:
            self._remember_gradients()

    def step_skipped(self) -> None:
        """GradScaler found non-finite gradients: the round goes on, but not for ever."""
        self.skipped_steps += 1
        if self.skipped_steps > 24 and self.stop_at_end:
            self.close_segment(None)
            self.finish()
            self.stopper.stop()

    # -- segments ------------------------------------------------------------------------------------------------

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

    def live_losses(self) -> tuple[int, list[str], int]:
        """How many earlier rounds' losses living tensors still hold, which of them; how many rounds' graphs in part."""
        latest = max((round_ for round_, _ in self.loss_history), default=0)
        numbers = {number: round_ for round_, points in self.loss_history if round_ < latest for _, number in points}
        if not numbers:
            return 0, [], 0
        holding: dict[Any, list[torch.Tensor]] = {}
        for thing in gc.get_objects():
            if issubclass(type(thing), torch.Tensor) and thing.grad_fn is not None:
                holding.setdefault(thing.grad_fn, []).append(thing)
        above: dict[Any, list[Any]] = {node: [] for node in holding}
        stack = list(holding)
        while stack and len(above) < _MAX_LIVE_NODES:
            node = stack.pop()
            for child, _ in node.next_functions:
                if child is not None:
                    if child not in above:
                        above[child] = []
                        stack.append(child)
                    above[child].append(node)
        losses = [node for node in above if node._sequence_nr() in numbers]
        alive = {numbers[node._sequence_nr()] for node in losses}
        roots = sorted((number, round_) for round_, points in self.loss_history for _, number in points)
        partly = set()
        for node in above:
            position = bisect_left(roots, (node._sequence_nr(), -1))
            if position < len(roots) and roots[position][1] < latest:
                partly.add(roots[position][1])
        keeping: set[Any] = set()
        stack = losses
        while stack:
            node = stack.pop()
            if node not in keeping:
                keeping.add(node)
                stack.extend(above[node])
        holders = [tensor for node, tensors in holding.items() if node in keeping for tensor in tensors]
        return len(alive), _names_of(holders, self.scopes + self._frames()), len(partly)


def _names_of(tensors: list[torch.Tensor], scopes: list[dict[str, Any]]) -> list[str]:
    """Names under which the script holds these tensors, by themselves or in a list or dictionary."""
    wanted = {id(tensor) for tensor in tensors}
    names: list[str] = []
    for scope in scopes:
        for name, value in list(scope.items()):
            items: Any = ()
            if isinstance(value, (list, dict)) and len(value) < 10000:
                items = list(value.values()) if isinstance(value, dict) else value
            if (id(value) in wanted or any(id(item) in wanted for item in items)) and name not in names:
                names.append(name)
    return names[:8]


def _mark(tensor: torch.Tensor) -> Any:
    gradient = tensor.grad
    return None if gradient is None else (id(gradient), gradient._version)


def _plain(tensor: torch.Tensor) -> bool:
    return bool(tensor.layout == torch.strided and tensor.is_floating_point() and tensor.numel() > 0)


def _real(tensor: torch.Tensor) -> bool:
    return bool(tensor.is_floating_point() and tensor.device.type != "meta")


def _some_rows(tensor: torch.Tensor) -> torch.Tensor:
    """At most 32 rows × 64 columns, evenly spread."""
    table = tensor.detach().reshape(tensor.shape[0], -1)
    rows, columns = max(1, table.shape[0] // _ROWS), max(1, table.shape[1] // _COLUMNS)
    return table[::rows, ::columns][:_ROWS, :_COLUMNS].clone()


def _total(values: list[torch.Tensor]) -> torch.Tensor:
    if not values:
        return torch.zeros((), dtype=torch.float64)
    device = values[0].device
    return torch.stack([value.to(device) for value in values]).norm()


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
