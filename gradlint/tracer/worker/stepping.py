"""OptimizerSteps: the parameters before and after, closures, skipped steps, and when enough steps were seen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

from .samples import Later, norms, sample, total_norm
from .tracked import OptimizerState

if TYPE_CHECKING:
    from .recorder import Recorder

_ROWS, _COLUMNS = 32, 64
_MOST_SKIPPED = 24


class Stepping:
    """Measures each OptimizerStep and ends the trace after the last one wanted."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.depth = 0
        self._skipped = 0
        self._waiting_since: float | None = None

    def before(self, optimizer: Any, closure: bool) -> dict[str, Any]:
        self.recorder.stopper.insist()
        state = self.recorder.optimizer_state(optimizer)
        self.recorder.gradients.notice_manual_clear()
        parameters = state.parameters()
        with_gradient = [p for p in parameters if p.grad is not None]
        gradient_norms = norms([p.grad for p in with_gradient if p.grad is not None])
        measured = dict(zip((id(p) for p in with_gradient), gradient_norms, strict=False))
        laters: dict[int, Later] = {}
        for tensor in parameters:
            tracked = self.recorder.track(tensor)
            tracked.before = sample(tensor.detach(), self.recorder.weight_limit) if tensor.numel() else None
            tracked.version = tensor._version
            if tracked.first_rows is None and tensor.grad is not None and tensor.dim() > 1 and _plain(tensor.grad):
                tracked.first_rows = _some_rows(tensor.grad)
            if tracked.weight_rows is None and tensor.dim() > 1 and _plain(tensor):
                tracked.weight_rows = _some_rows(tensor)
            if id(tensor) in measured:
                laters[id(tensor)] = self.recorder.scalars.later(measured[id(tensor)])
        return self.recorder.event(
            "optimizer_step",
            optimizer=state.number,
            count=state.steps,
            grad_norm=self.recorder.scalars.later(total_norm(gradient_norms)) if gradient_norms else None,
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

    def after(self, entry: dict[str, Any], optimizer: Any) -> None:
        state = self.recorder.optimizer_state(optimizer)
        number = state.steps
        laters = entry.pop("norms")
        if entry["closure"]:
            self._after_closure(entry, state, laters)
        for tensor in state.parameters():
            tracked = self.recorder.track(tensor)
            if tracked.before is None:
                continue
            if self.waiting:
                tracked.before = None
                continue
            after = sample(tensor.detach(), self.recorder.weight_limit)
            before = tracked.before
            ticket = self.recorder.samples.add(before, tensor.numel())
            moved = self.recorder.samples.add(after - before, tensor.numel()) if after.shape == before.shape else None
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
        self.recorder.steps_seen += 1
        self.recorder.gradients.dropped = 0
        self.recorder.backwards_since_step = 0
        self.recorder.gradients.remember()
        self.recorder.snapshots.look_again()
        for observer in self.recorder.on_step:
            observer(state)
        self.recorder.close_segment(state)
        if self.recorder.first_step_at is None:
            self.recorder.first_step_at = time.monotonic()
        if self.recorder.stop_at_end and self._enough():
            self.recorder.finish()
            self.recorder.stopper.stop()

    def _after_closure(self, entry: dict[str, Any], state: OptimizerState, laters: dict[int, Later]) -> None:
        """The gradients of a step with a closure exist only once the closure has run."""
        with_gradient = [p for p in state.parameters() if p.grad is not None]
        values = norms([p.grad for p in with_gradient if p.grad is not None])
        for tensor, norm in zip(with_gradient, values, strict=False):
            laters[id(tensor)] = self.recorder.scalars.later(norm)
        entry["grad_norm"] = self.recorder.scalars.later(total_norm(values)) if values else None
        entry["with_gradient"] = len(with_gradient)
        entry["without_gradient"] = len(state.parameters()) - len(with_gradient)
        entry["backwards"] = state.backwards
        entry["stale_parameters"] = dict(state.stale)

    def _enough(self) -> bool:
        """Every optimizer that steps at all has its steps; a critic may step often before its generator does."""
        counts = [state.steps for state in self.recorder.optimizers if state.parameters()]
        if not counts or (
            min(counts) < self.recorder.steps_wanted and max(counts) < 2 * self.recorder.steps_wanted + 4
        ):
            return False
        if not self.recorder.awaited:
            return True
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return time.monotonic() - self._waiting_since > self.recorder.patience

    @property
    def waiting(self) -> bool:
        """Whether the steps wanted were seen and the run goes on only for what is awaited."""
        return self._waiting_since is not None

    def wrap_closure(self, optimizer: Any, closure: Any) -> Any:
        """The user's closure, counted; what an optimizer without gradients at its step lives from."""
        state = self.recorder.optimizer_state(optimizer)
        state.closure_calls = 0

        def evaluate(*args: Any, **kwargs: Any) -> Any:
            before = self.recorder.backwards
            result = closure(*args, **kwargs)
            value: Any = None
            if isinstance(result, torch.Tensor) and result.numel() == 1:
                value = self.recorder.scalars.later(result)
            elif isinstance(result, (int, float)):
                value = float(result)
            self.recorder.event(
                "closure",
                optimizer=state.number,
                evaluation=state.closure_calls,
                value=value,
                backwards=self.recorder.backwards - before,
            )
            state.closure_calls += 1
            return result

        return evaluate

    def skipped(self) -> None:
        """GradScaler found non-finite gradients: the round goes on, but not for ever."""
        self._skipped += 1
        if self._skipped > _MOST_SKIPPED and self.recorder.stop_at_end:
            self.recorder.close_segment(None)
            self.recorder.finish()
            self.recorder.stopper.stop()


def _some_rows(tensor: torch.Tensor) -> torch.Tensor:
    """At most 32 rows × 64 columns, evenly spread."""
    table = tensor.detach().reshape(tensor.shape[0], -1)
    rows, columns = max(1, table.shape[0] // _ROWS), max(1, table.shape[1] // _COLUMNS)
    return table[::rows, ::columns][:_ROWS, :_COLUMNS].clone()


def _plain(tensor: torch.Tensor) -> bool:
    return bool(tensor.layout == torch.strided and tensor.is_floating_point() and tensor.numel() > 0)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
