"""Compare each of the user's autograd.Functions with central differences in float64, on inputs it really received."""

from __future__ import annotations

import linecache
import math
import sys
from typing import TYPE_CHECKING, Any

import torch

from .calls import describe
from .patches import Patches
from .places import as_place

if TYPE_CHECKING:
    from .recorder import Recorder

_MAX_ELEMENTS = 256
_TOLERANCE = 1e-2
_STEPS = (1e-6, 1e-4)
_ENTRIES = 64


class Functions:
    """The first call of each autograd.Function class that the user defined."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.seen: dict[type, tuple[Any, list[Any]]] = {}

    def install(self, patches: Patches) -> None:
        original = torch.autograd.Function.__dict__.get("apply")
        if not isinstance(original, classmethod):
            return
        recorder, seen = self.recorder, self.seen
        run = original.__func__

        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            if recorder.active and cls not in seen and self._users(cls):
                copies = [_kept(value) for value in args]
                seen[cls] = (recorder.places.here(), copies)
            return run(cls, *args, **kwargs)

        patches.set(torch.autograd.Function, "apply", classmethod(apply))

    def _users(self, kind: type) -> bool:
        if kind.__module__ == "__main__":
            return True
        module = sys.modules.get(kind.__module__)
        file = getattr(module, "__file__", None)
        return file is not None and self.recorder.places.user_file(file) is not None

    def report(self) -> list[dict[str, Any]]:
        """The schema's CustomFunction entries."""
        return [self._check(kind, place, args) for kind, (place, args) in self.seen.items()]

    def _check(self, kind: Any, place: Any, args: list[Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "class_name": kind.__name__,
            "module": kind.__module__,
            "defined": self._defined(kind),
            "called": as_place(place),
            "inputs": [describe(value) for value in args if isinstance(value, torch.Tensor)],
            "agrees": None,
            "max_error": None,
            "message": "",
        }
        state = torch.get_rng_state()
        try:
            entry["agrees"], entry["max_error"], entry["message"] = _compare(kind, args)
        except Exception as problem:
            entry["message"] = (
                f"could not be checked: {(str(problem).strip().splitlines() or [repr(problem)])[0][:300]}"
            )
        finally:
            torch.set_rng_state(state)
        return entry

    def _defined(self, kind: Any) -> Any:
        code = getattr(getattr(kind, "backward", None), "__code__", None)
        if code is None:
            return None
        file = self.recorder.places.user_file(code.co_filename)
        line = code.co_firstlineno
        while linecache.getline(code.co_filename, line).lstrip().startswith("@"):
            line += 1
        return as_place((file, line, kind.__name__)) if file else None


def _kept(value: Any) -> Any:
    """A small float64 leaf made of a tensor argument: the first rows of each dimension, other values as they are."""
    if not isinstance(value, torch.Tensor):
        return value
    small = value.detach()
    if not small.is_floating_point():
        return small.clone()
    return small.clone().requires_grad_(value.requires_grad)


def _shrunk(args: list[Any], limit: int) -> list[Any]:
    """The same arguments with the batch dimension (shared by the first tensor) cut down."""
    first = next((a for a in args if isinstance(a, torch.Tensor) and a.dim() > 0), None)
    if first is None or first.numel() <= limit or first.dim() < 2:
        return args
    rows = max(1, min(first.shape[0], limit // max(1, first.numel() // first.shape[0])))
    return [
        a[:rows].detach().clone().requires_grad_(a.requires_grad)
        if isinstance(a, torch.Tensor) and a.dim() > 0 and a.shape[0] == first.shape[0]
        else a
        for a in args
    ]


def _compare(kind: Any, args: list[Any]) -> tuple[bool | None, float | None, str]:
    last: Exception | None = None
    for attempt in (_shrunk(args, _MAX_ELEMENTS), args):
        try:
            return _differences(kind, attempt)
        except (RuntimeError, IndexError, ValueError) as problem:
            last = problem
    assert last is not None
    raise last


def _differences(kind: Any, args: list[Any]) -> tuple[bool | None, float | None, str]:
    """Directional derivatives vᵀJu along random u, v: central difference against the user's backward.

    Not compared is what disagrees by intent or cannot be measured: a forward that gives its input back (gradient
    reversal, scaling, clipping), one that is flat where they differ (straight-through), one that draws random numbers,
    and one whose differences at two step sizes do not agree (it computes in lower precision inside).
    """
    inputs = [a.cpu().double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args]
    inputs = [
        a.detach().requires_grad_(b.requires_grad) if isinstance(b, torch.Tensor) and b.is_floating_point() else a
        for a, b in zip(inputs, args, strict=False)
    ]
    wanted = [a for a in inputs if isinstance(a, torch.Tensor) and a.requires_grad]
    if not wanted:
        return None, None, "no input requires grad"
    outputs, again = _outputs(kind, inputs), _outputs(kind, inputs)
    if not outputs:
        return None, None, "no output requires grad"
    if any(o.dtype != torch.float64 for o in outputs):
        return None, None, f"computes in {outputs[0].dtype} whatever its inputs are"
    if not all(torch.equal(a, b) for a, b in zip(outputs, again, strict=True)):
        return None, None, "two calls with the same inputs give different outputs"
    if len(outputs) == 1 and any(torch.equal(outputs[0], a) for a in wanted if a.shape == outputs[0].shape):
        return None, None, "the forward gives its input back: the backward is all it is for"
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(4):
        weights = [torch.randn(o.shape, dtype=torch.float64, generator=generator) for o in outputs]
        analytic = torch.autograd.grad(_outputs(kind, inputs), wanted, weights, allow_unused=True)
        given = [torch.zeros_like(w) if g is None else g for g, w in zip(analytic, wanted, strict=True)]
        along = [torch.randn(w.shape, dtype=torch.float64, generator=generator) for w in wanted]
        claimed = sum(float((g * d).sum()) for g, d in zip(given, along, strict=True))
        near, far = (_slope(kind, inputs, along, weights, step) for step in _STEPS)
        size = max(abs(near), abs(claimed), 1e-8)
        if not math.isfinite(near - claimed) or abs(near - far) > _TOLERANCE * size:
            return None, None, "its central differences depend on the step: it cannot be measured"
        if abs(near - claimed) > _TOLERANCE * size and _flat_there(kind, inputs, given, weights):
            return None, None, "the forward is flat where they disagree: a straight-through gradient"
        worst = max(worst, abs(near - claimed) / size)
    return worst < _TOLERANCE, worst, ""


def _outputs(kind: Any, inputs: list[Any]) -> list[torch.Tensor]:
    outputs = kind.apply(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [o for o in outputs if isinstance(o, torch.Tensor) and o.requires_grad]


def _slope(kind: Any, inputs: list[Any], along: list[torch.Tensor], weights: list[torch.Tensor], step: float) -> float:
    """Central difference of the weighted sum of outputs, along a direction."""
    leaves = [a for a in inputs if isinstance(a, torch.Tensor) and a.requires_grad]
    size = step * max(1.0, max(float(a.detach().abs().max()) for a in leaves))
    values = []
    for sign in (1.0, -1.0):
        queue = iter(along)
        moved = [
            (a.detach() + sign * size * next(queue)).requires_grad_()
            if isinstance(a, torch.Tensor) and a.requires_grad
            else a
            for a in inputs
        ]
        found = _outputs(kind, moved)
        values.append(sum(float((o.detach() * w).sum()) for o, w in zip(found, weights, strict=False)))
    return (values[0] - values[1]) / (2 * size)


def _flat_there(kind: Any, inputs: list[Any], given: list[torch.Tensor], weights: list[torch.Tensor]) -> bool:
    """Whether every entry whose gradient is another than the slope has no slope at all."""
    for index, gradient in enumerate(given):
        entries = torch.linspace(0, gradient.numel() - 1, min(gradient.numel(), _ENTRIES)).long().tolist()
        for entry in entries:
            along = [torch.zeros_like(g) for g in given]
            along[index].view(-1)[entry] = 1.0
            slope = _slope(kind, inputs, along, weights, _STEPS[0])
            claimed = float(gradient.reshape(-1)[entry])
            if slope != 0.0 and abs(slope - claimed) > _TOLERANCE * max(abs(slope), abs(claimed)):
                return False
    return True
