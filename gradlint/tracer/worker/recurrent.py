"""How much gradient reaches each time step of a recurrent module: the profile of the gradient of its input.

The module gets a view of its input (or a copy that requires grad, where the data does not), so that the gradient seen
is what flows through this module alone. Values are unchanged.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import PackedSequence

if TYPE_CHECKING:
    from .calls import Call
    from .recorder import Recorder

_GATES = {"LSTM": 4, "GRU": 3, "LSTMCell": 4, "GRUCell": 3}


class Profile:
    """One call's time profile; `norms` is filled when a backward passes."""

    __slots__ = ("batch_first", "call", "hidden_requires_grad", "norms", "output", "packed", "shape", "steps")

    def __init__(self, call: Any) -> None:
        self.call = call
        self.norms: torch.Tensor | None = None
        self.output: torch.Tensor | None = None
        self.packed = False
        self.batch_first = False
        self.shape: list[int] = []
        self.steps = 0
        self.hidden_requires_grad = False


class Recurrent:
    """Profiles of all recurrent calls of the measured rounds."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.profiles: list[Profile] = []

    def before(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments with an observable input."""
        given = args[0] if args else kwargs.get("input")
        if not torch.is_grad_enabled() or len(self.profiles) >= 64:
            return args, kwargs
        module: Any = call.module
        profile = Profile(call)
        profile.batch_first = bool(getattr(module, "batch_first", False))
        hidden = args[1] if len(args) > 1 else kwargs.get("hx")
        states = hidden if isinstance(hidden, tuple) else (hidden,)
        profile.hidden_requires_grad = any(isinstance(h, torch.Tensor) and h.requires_grad for h in states)
        if isinstance(given, PackedSequence):
            data = self._observed(given.data, profile, given.batch_sizes, None)
            profile.packed = True
            profile.shape = list(given.data.shape)
            profile.steps = len(given.batch_sizes)
            replaced: Any = PackedSequence(data, given.batch_sizes, given.sorted_indices, given.unsorted_indices)
        elif isinstance(given, torch.Tensor) and given.is_floating_point() and given.dim() in (2, 3):
            dimension = (1 if profile.batch_first else 0) if given.dim() == 3 else 0
            profile.shape = list(given.shape)
            profile.steps = given.shape[dimension]
            replaced = self._observed(given, profile, None, dimension)
        else:
            return args, kwargs
        self.profiles.append(profile)
        if args:
            return (replaced, *args[1:]), kwargs
        return args, {**kwargs, "input": replaced}

    def _observed(self, data: torch.Tensor, profile: Profile, sizes: Any, dimension: int | None) -> torch.Tensor:
        seen = data.view_as(data) if data.requires_grad else data.detach().requires_grad_()

        def hook(gradient: torch.Tensor) -> None:
            if profile.norms is None:
                profile.norms = _profile(gradient.detach(), sizes, dimension)

        seen.register_hook(hook)
        return seen

    def report(self, name_of: Any, node_of: Any) -> list[dict[str, Any]]:
        """The schema's Recurrent entries."""
        found = []
        for profile in self.profiles:
            module = profile.call.module
            norms = profile.norms.cpu().tolist() if profile.norms is not None else []
            sigma, radius = _weights(module)
            found.append(
                {
                    "node": node_of(profile.call),
                    "fqn": name_of(module),
                    "class_name": type(module).__name__,
                    "time_steps": profile.steps,
                    "layers": int(getattr(module, "num_layers", 1)),
                    "batch_first": profile.batch_first,
                    "input_shape": profile.shape,
                    "hidden_size": int(module.hidden_size),
                    "packed": profile.packed,
                    "input_gradient": norms,
                    "decades_per_step": slope(norms),
                    "sigma_max": sigma,
                    "spectral_radius": radius,
                    "hidden_requires_grad": profile.hidden_requires_grad,
                    "loss_positions": _positions(norms),
                }
            )
        return found


def _profile(gradient: torch.Tensor, sizes: Any, dimension: int | None) -> torch.Tensor:
    """Norm of the gradient at each time index, on its device; scaled so that float32 does not underflow."""
    exact = gradient.double()
    if sizes is not None:
        parts = exact.split(sizes.tolist())
        return torch.stack([part.norm() for part in parts])
    assert dimension is not None
    return exact.movedim(dimension, 0).reshape(exact.shape[dimension], -1).norm(dim=1)


def slope(norms: list[float]) -> float | None:
    """Decades gained per step towards the past: least-squares slope of log10 norm over the live indices."""
    points = [(index, math.log10(norm)) for index, norm in enumerate(norms) if norm > 0 and math.isfinite(norm)]
    if len(points) < 4:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return -sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def _positions(norms: list[float]) -> str:
    """A loss on all outputs feeds every index alike; on the last one the profile falls or grows from the end."""
    live = [norm for norm in norms if norm > 0]
    if len(live) < 4:
        return "unknown"
    tail, head = norms[-1], norms[len(norms) // 2]
    if head <= 0:
        return "last"
    return "all" if 0.5 < head / max(tail, 1e-300) < 2.0 else "last"


def _weights(module: Any) -> tuple[list[float], list[float]]:
    sigma: list[float] = []
    radius: list[float] = []
    gates = _GATES.get(type(module).__name__, _GATES.get(str(getattr(module, "mode", "")), 1))
    for name, weight in module.named_parameters(recurse=False):
        if not name.startswith("weight_hh"):
            continue
        matrix = weight.detach().double().cpu()
        for block in matrix.chunk(gates):
            if block.shape[0] != block.shape[1] or block.shape[0] > 2048 or not bool(torch.isfinite(block).all()):
                continue
            sigma.append(float(torch.linalg.matrix_norm(block, 2)))
            radius.append(float(torch.linalg.eigvals(block).abs().max()))
    return sigma, radius
