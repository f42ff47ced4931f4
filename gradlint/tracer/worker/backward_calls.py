"""Backward calls: walk the graph and hook it before, see afterwards which parameters got a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .calls import autocast_type
from .graph import Walk
from .losses import LossCall

if TYPE_CHECKING:
    from .recorder import Recorder


class Backward:
    """What one backward call reached."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.leaves: list[torch.Tensor] = []
        self.loss_numbers: list[int] = []
        self.root_numbers: list[tuple[int, int]] = []


class BackwardCalls:
    """Every call of backward and autograd.grad that the script makes."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._versions: dict[int, int] = {}

    def before(
        self, kind: str, roots: list[torch.Tensor], retain: bool, create: bool, scaled: bool
    ) -> tuple[dict[str, Any], Backward, Any]:
        """Walk the graph, hook it, and note what the gradients were before."""
        self.recorder.stopper.insist()
        self.recorder.gradients.notice_manual_clear()
        info = Backward(self.recorder.backwards)
        self.recorder.backwards += 1
        self.recorder.backwards_since_step += 1
        if self.recorder._evaluated_at is not None and self.recorder.backwards > self.recorder._evaluated_at:
            self.recorder.awaited.discard("evaluation")
        starts = [tensor.grad_fn for tensor in roots if tensor.grad_fn is not None]
        walk = Walk(starts)
        info.leaves = [leaf for _, leaf in walk.leaves]
        thread = self.recorder.calls.thread()
        round_ = self.recorder._provisional_round()
        # Observers may run the graph backward themselves, which our hooks must not see.
        for observer in self.recorder.on_backward:
            observer(kind, roots, walk, round_)
        measured = self.recorder.calls.recording
        remove = self.recorder.graph.attach(walk, thread, info.number) if measured else (lambda: None)
        loss = self._loss_above(walk, starts, roots, thread) if kind == "backward" else None
        if kind == "backward":
            self.recorder.growth.note(round_, len(walk.nodes), {(thread, start._sequence_nr()) for start in starts})
        first = roots[0] if roots else None
        entry = self.recorder.event(
            kind,
            id=info.number,
            loss=loss,
            value=self.recorder.scalars.later(first)
            if first is not None and first.numel() == 1 and _real(first)
            else None,
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
            saved_bytes=self.recorder.growth.saved.get(round_),
            nonfinite_producer=None,
        )
        if kind == "backward":
            self.recorder.gradients.note_stale(info.leaves)
        walk.nodes.clear()
        return entry, info, remove

    def after(self, entry: dict[str, Any], info: Backward, remove: Any, before: dict[int, Any]) -> None:
        remove()
        self.recorder.graph.finish_backward()
        if entry["kind"] != "backward":
            entry["reached"] = info.leaves
            return
        leaves = {id(leaf) for leaf in info.leaves}
        reached = [leaf for leaf in info.leaves if leaf.grad is not None]
        for key, state in self.recorder.tensors.items():
            if key not in leaves and state.tensor.is_leaf and _mark(state.tensor) != before.get(key):
                reached.append(state.tensor)
        entry["reached"] = reached
        found = {id(leaf) for leaf in reached}
        for leaf in reached:
            self.recorder.track(leaf).reached = True
        for holder in self.recorder.optimizers:
            held = {id(p) for p in holder.parameters()}
            if held & found:
                holder.backwards += 1
                holder.cleared = False
                holder.fresh |= held & found
                if entry["scaled"]:
                    holder.scale = self.recorder.scaling.factor(self.recorder.scaling.scaler)
        self.recorder.gradients.remember()
        if self.recorder.backwards_since_step >= self.recorder.backward_limit and self.recorder.stop_at_end:
            self.recorder.close_segment(None)
            self.recorder.finish()
            self.recorder.stopper.stop()

    def marks(self) -> dict[int, Any]:
        """State of every tracked gradient, to see which ones a backward touches."""
        return {key: _mark(state.tensor) for key, state in self.recorder.tensors.items() if state.tensor.is_leaf}

    def _loss_above(self, walk: Walk, starts: list[Any], roots: list[torch.Tensor], thread: int) -> int | None:
        """The loss call whose nodes are nearest below the backward's root; a custom one where there is none."""
        best: LossCall | None = None
        numbers = set(walk.numbers)
        for loss in self.recorder.losses.found:
            inside = any(number in numbers for number in range(loss.before, loss.after))
            if loss.thread == thread and inside and (best is None or loss.before > best.before):
                best = loss
        if best is not None:
            return best.number
        if not roots or not self.recorder.calls.recording:
            return None
        return self.recorder.losses.custom(roots[0])

    def _written(self, leaves: list[torch.Tensor]) -> int | None:
        """How many of the leaves were written since the backward before; None where none was reached before."""
        known = [leaf for leaf in leaves if id(leaf) in self._versions]
        moved = sum(leaf._version != self._versions[id(leaf)] for leaf in known)
        self._versions.update((id(leaf), leaf._version) for leaf in leaves)
        return moved if known else None


def _mark(tensor: torch.Tensor) -> Any:
    gradient = tensor.grad
    return None if gradient is None else (id(gradient), gradient._version)


def _real(tensor: torch.Tensor) -> bool:
    return bool(tensor.is_floating_point() and tensor.device.type != "meta")
