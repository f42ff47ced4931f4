"""What is kept of every parameter and every optimizer while a trace runs."""

from __future__ import annotations

from typing import Any

import torch

from .samples import Later


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
