"""Compare each of the user's autograd.Functions with central differences in float64, on inputs it really received."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from .calls import describe
from .patches import Patches
from .places import as_place

if TYPE_CHECKING:
    from .recorder import Recorder

_MAX_ELEMENTS = 256
_TOLERANCE = 1e-3


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
        return as_place((file, code.co_firstlineno, kind.__name__)) if file else None


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

    A straight-through estimator (forward constant almost everywhere, backward not) disagrees by intent: its numerical
    derivative is exactly zero, which is told apart from a wrong one.
    """
    inputs = [a.cpu().double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args]
    inputs = [
        a.detach().requires_grad_(b.requires_grad) if isinstance(b, torch.Tensor) and b.is_floating_point() else a
        for a, b in zip(inputs, args, strict=False)
    ]
    wanted = [a for a in inputs if isinstance(a, torch.Tensor) and a.requires_grad]
    if not wanted:
        return None, None, "no input requires grad"
    generator = torch.Generator().manual_seed(0)
    worst, flat = 0.0, True
    scale_seen = 0.0
    for _ in range(4):
        outputs = kind.apply(*inputs)
        outputs = [o for o in (outputs if isinstance(outputs, tuple) else (outputs,)) if isinstance(o, torch.Tensor)]
        outputs = [o for o in outputs if o.requires_grad]
        if not outputs:
            return None, None, "no output requires grad"
        if any(o.dtype != torch.float64 for o in outputs):
            return None, None, f"computes in {outputs[0].dtype} whatever its inputs are"
        weights = [torch.randn(o.shape, dtype=torch.float64, generator=generator).to(o.dtype) for o in outputs]
        analytic = torch.autograd.grad(outputs, wanted, weights, allow_unused=True)
        directions = [torch.randn(w.shape, dtype=torch.float64, generator=generator) for w in wanted]
        claimed = sum(float((g * d).sum()) for g, d in zip(analytic, directions, strict=False) if g is not None)
        size = 1e-6 * max(1.0, max(float(w.detach().abs().max()) for w in wanted))
        values = []
        for sign in (1.0, -1.0):
            moved = list(inputs)
            queue = iter(directions)
            for index, value in enumerate(inputs):
                if isinstance(value, torch.Tensor) and value.requires_grad:
                    moved[index] = (value.detach() + sign * size * next(queue)).requires_grad_()
            result = kind.apply(*moved)
            result = [r for r in (result if isinstance(result, tuple) else (result,)) if isinstance(r, torch.Tensor)]
            result = [r for r in result if r.requires_grad]
            values.append(sum(float((r.detach() * w).sum()) for r, w in zip(result, weights, strict=False)))
        numeric = (values[0] - values[1]) / (2 * size)
        flat = flat and numeric == 0.0
        scale_seen = max(scale_seen, abs(numeric), abs(claimed))
        worst = max(worst, abs(numeric - claimed) / max(abs(numeric), abs(claimed), 1e-8))
    if flat and scale_seen > 0:
        return None, worst, "the forward is piecewise constant: a straight-through gradient cannot be compared"
    return worst < _TOLERANCE, worst, ""
