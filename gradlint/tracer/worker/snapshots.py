"""State dicts that the script took: do they live on, and share storage with what training writes?"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .recorder import Recorder

_MAX_STATE_DICTS = 32


class StateDict:
    """The event of a `state_dict` call, with weak references to the tensors that it handed out."""

    def __init__(self, entry: dict[str, Any], tensors: list[torch.Tensor]) -> None:
        self.entry = entry
        self.tensors = [weakref.ref(tensor) for tensor in tensors]


class Snapshots:
    """The first state dicts of a trace."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._kept: list[StateDict] = []

    def taken(self, module: Any, state: dict[str, Any]) -> None:
        """`state_dict` was called on a module by the script."""
        entry = self.recorder.event(
            "state_dict", fqn=module, class_name=type(module).__name__, alive_at_step=False, aliased=None
        )
        tensors = [tensor for tensor in state.values() if isinstance(tensor, torch.Tensor)]
        if len(self._kept) < _MAX_STATE_DICTS:
            self._kept.append(StateDict(entry, tensors))

    def look_again(self) -> None:
        """After an OptimizerStep: which state dicts live on, and do they share storage with what was just written?"""
        if not self._kept:
            return
        owned = {state.tensor.data_ptr() for state in self.recorder.tensors.values() if state.steps}
        for kept in self._kept:
            alive = [tensor for reference in kept.tensors if (tensor := reference()) is not None]
            kept.entry["alive_at_step"] = bool(alive)
            kept.entry["aliased"] = any(tensor.data_ptr() in owned for tensor in alive)
        self.recorder.awaited.discard("state-dict")
