"""What happens to gradients between backward and OptimizerStep: left over, cleared, clipped, rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .samples import norms, total_norm
from .tracked import OptimizerState

if TYPE_CHECKING:
    from .recorder import Recorder


class Gradients:
    """Notices clears by call and, since those leave no call behind, by hand."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.dropped = 0
        self._had: dict[int, Any] = {}

    def note_stale(self, leaves: list[torch.Tensor]) -> None:
        """A gradient that is not zero at the first backward after its optimizer's step was not cleared."""
        wanted: list[tuple[OptimizerState, int]] = []
        tensors: list[torch.Tensor] = []
        reached = {id(leaf) for leaf in leaves}
        for state in self.recorder.optimizers:
            if not state.steps:
                continue
            for tensor in state.parameters():
                key = id(tensor)
                if key in reached and key not in state.fresh and tensor.grad is not None:
                    wanted.append((state, key))
                    tensors.append(tensor.grad)
        for (state, key), norm in zip(wanted, norms(tensors), strict=False):
            state.stale[key] = self.recorder.scalars.later(norm)

    def remember(self) -> None:
        self._had = {
            key: state.tensor.grad._version
            for key, state in self.recorder.tensors.items()
            if state.tensor.is_leaf and state.tensor.grad is not None
        }

    def notice_manual_clear(self) -> None:
        """`p.grad = None` and `p.grad.zero_()` leave no call behind; they show between two events."""
        gone = zeroed = 0
        suspects: list[torch.Tensor] = []
        for key, version in self._had.items():
            state = self.recorder.tensors[key]
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
            self.recorder.event(
                "zero_grad", how="manual", optimizer=None, parameters=gone + zeroed, discarded_norm=None
            )
            self._count_dropped_round()
        self._had = {}

    def _forget(self, key: int) -> None:
        for state in self.recorder.optimizers:
            state.stale.pop(key, None)
            if key in state.fresh:
                state.fresh.discard(key)
                state.cleared = True

    def clearing(self, how: str, owner: Any, tensors: list[torch.Tensor]) -> None:
        """zero_grad of an optimizer or a module, before it happens."""
        self.recorder.stopper.insist()
        self.notice_manual_clear()
        with_gradient = [tensor for tensor in tensors if tensor.grad is not None]
        discarded = None
        if with_gradient and self.recorder.backwards_since_step:
            values = norms([tensor.grad for tensor in with_gradient if tensor.grad is not None])
            discarded = self.recorder.scalars.later(total_norm(values))
        self.recorder.event(
            "zero_grad",
            how=how,
            optimizer=self.recorder.optimizer_number(owner) if how == "optimizer" else None,
            parameters=len(with_gradient),
            discarded_norm=discarded,
        )
        for tensor in tensors:
            self._forget(id(tensor))
        if self.recorder.backwards_since_step and with_gradient:
            self._count_dropped_round()
        self._had = {}

    def _count_dropped_round(self) -> None:
        """Backwards whose gradients were cleared without an OptimizerStep: a loop that never steps.

        A closure clears during the step.
        """
        if self.recorder.backwards_since_step and not self.recorder.stepping.depth and not self.recorder.steps_seen:
            self.dropped += 1
            self.recorder.close_segment(None)
            if self.dropped >= self.recorder.steps_wanted + 1 and self.recorder.stop_at_end:
                self.recorder.finish()
                self.recorder.stopper.stop()

    def clip(self, how: str, limit: float, tensors: list[torch.Tensor], scaled: bool) -> dict[str, Any]:
        """Before the clip happens."""
        self.recorder.stopper.insist()
        gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
        return self.recorder.event(
            "clip",
            how=how,
            max_norm=limit,
            norm_before=self.recorder.scalars.later(total_norm(norms(gradients))) if gradients else None,
            norm_after=None,
            parameters=len(tensors),
            with_gradient=len(gradients),
            names=list(tensors),
            scaled=scaled,
            since_step=self.recorder.backwards_since_step,
        )

    def clipped(self, entry: dict[str, Any], tensors: list[torch.Tensor]) -> None:
        gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
        if gradients:
            entry["norm_after"] = self.recorder.scalars.later(total_norm(norms(gradients)))
        if self._had:
            self.remember()

    def rewritten(self) -> None:
        """Gradients changed in place by something that is not a clear."""
        if self._had:
            self.remember()
