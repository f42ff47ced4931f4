"""Mixed precision: which losses a GradScaler multiplied, and whose gradients still carry its factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .recorder import Recorder


class Scaling:
    """The scaler in force is the one that scaled the latest loss."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.losses: dict[int, tuple[Any, Any]] = {}
        self.scaler: Any = None

    def was_scaled(self, loss: torch.Tensor) -> bool:
        """Whether GradScaler.scale returned this very tensor; its scaler is then the one in force."""
        entry = self.losses.get(id(loss))
        if entry is None or entry[0]() is not loss:
            return False
        self.scaler = entry[1]
        return True

    def factor(self, scaler: Any) -> Any:
        """The scaler's factor without waiting for the device."""
        scale = getattr(scaler, "_scale", None)
        if isinstance(scale, torch.Tensor):
            return self.recorder.scalars.later(scale.clone())
        return float(scaler.get_scale())

    def unscaled(self, optimizer: Any) -> None:
        number = self.recorder.optimizer_number(optimizer)
        if number is not None:
            self.recorder.optimizers[number].scale = None

    def scale_of(self, tensor: torch.Tensor) -> Any:
        for state in self.recorder.optimizers:
            if state.scale is not None and any(p is tensor for p in state.parameters()):
                return state.scale
        return None
