"""How much gradient reaches each time step of a recurrent module: the profile of the gradient of its input.

The module gets a view of its input (or a copy that requires grad, where the data does not), so that the gradient seen
is what flows through this module alone. Values are unchanged. A loss on every output feeds every time step, which hides
how a gradient fares on its way back: then the module runs once more after the trace, with a gradient on its last output
only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import PackedSequence

if TYPE_CHECKING:
    from .calls import Call
    from .recorder import Recorder

_MAX_ROWS = 8
_GATES = {"LSTM": 4, "GRU": 3, "LSTMCell": 4, "GRUCell": 3}


class Profile:
    """One call's time profile; `norms` is filled when a backward passes."""

    __slots__ = (
        "batch_first",
        "call",
        "entering",
        "given",
        "hidden_requires_grad",
        "norms",
        "packed",
        "shape",
        "steps",
    )

    def __init__(self, call: Any) -> None:
        self.call = call
        self.norms: torch.Tensor | None = None
        self.entering: torch.Tensor | None = None
        self.given: torch.Tensor | None = None
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
            if all(known.call.module is not module for known in self.profiles):
                rows = (
                    given
                    if given.dim() == 2
                    else given.narrow(1 - dimension, 0, min(given.shape[1 - dimension], _MAX_ROWS))
                )
                profile.given = rows.detach().clone()
        else:
            return args, kwargs
        self.profiles.append(profile)
        if args:
            return (replaced, *args[1:]), kwargs
        return args, {**kwargs, "input": replaced}

    def after(self, call: Call, output: Any) -> None:
        """Watch at which time steps the loss enters the module's output."""
        profile = self.profiles[-1] if self.profiles else None
        sequence = output[0] if isinstance(output, tuple) and output else None
        if profile is None or profile.call is not call or not isinstance(sequence, torch.Tensor):
            return
        if not sequence.requires_grad or sequence.dim() not in (2, 3):
            return
        dimension = (1 if profile.batch_first else 0) if sequence.dim() == 3 else 0

        def hook(gradient: torch.Tensor) -> None:
            if profile.entering is None:
                profile.entering = _profile(gradient.detach(), None, dimension)

        sequence.register_hook(hook)

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
        from_the_end: dict[int, list[float]] = {}
        for profile in self.profiles:
            module = profile.call.module
            norms = profile.norms.cpu().tolist() if profile.norms is not None else []
            sigma, radius = _weights(module)
            positions = _positions(profile)
            if positions == "all" and profile.given is not None:
                from_the_end[id(module)] = _from_the_end(profile)
            fading = from_the_end.get(id(module), []) if positions == "all" else norms
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
                    "decades_per_step": slope(fading),
                    "sigma_max": sigma,
                    "spectral_radius": radius,
                    "hidden_requires_grad": profile.hidden_requires_grad,
                    "loss_positions": positions,
                }
            )
        return found


def _from_the_end(profile: Profile) -> list[float]:
    """Norm by time index of the input's gradient, for a random gradient on the module's last output alone."""
    module, given = profile.call.module, profile.given
    if given is None:
        return []
    dimension = (1 if profile.batch_first else 0) if given.dim() == 3 else 0
    given.requires_grad_()
    try:
        with torch.enable_grad():
            last = module(given)[0].select(dimension, -1)[..., : module.proj_size or module.hidden_size]
            direction = torch.randn(last.shape, generator=torch.Generator().manual_seed(0)).to(last)
            (gradient,) = torch.autograd.grad(last, given, direction)
    except (RuntimeError, TypeError):
        return []
    norms: list[float] = _profile(gradient.detach(), None, dimension).tolist()
    return norms


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


def _positions(profile: Profile) -> str:
    """Where the loss enters along time; packed sequences end at several indices, so theirs is not known."""
    if profile.packed or profile.norms is None:
        return "unknown"
    if profile.entering is None:
        return "last"
    entering = profile.entering.cpu().tolist()
    return "all" if any(norm > 0 for norm in entering[: max(1, len(entering) // 2)]) else "last"


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
