"""lr · λmax by the Lanczos iteration on Hessian-vector products of the user's own loss, just before its own backward.

λmax is the largest eigenvalue of the Hessian (for the Adam family of D^-½ H D^-½ with D = √v̂ + ε, v̂ from the state
of the optimizer). Negative eigenvalues, however large, make no descent diverge; power iteration, which finds the
eigenvalue of largest magnitude, will therefore not do. At most twelve products or ten seconds, fewer once the
estimate stands still: it grows towards λmax from below. Needs double backward, so fused attention and recurrent
kernels are switched off when curvature is asked for. On a quadratic, descent diverges above 2, heavy ball above 2 +
2·momentum.
"""

from __future__ import annotations

import functools
import math
import time
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .patches import Patches
    from .recorder import Recorder
    from .tracked import OptimizerState

_PRODUCTS = 12
_FEWEST = 4
_STANDSTILL = 0.01
_NOTHING = 1e-6
_SECONDS = 10.0


def plain_kernels(patches: Patches) -> None:
    """Attention and recurrent layers only by kernels that can be differentiated twice; convolutions always can."""
    if hasattr(torch.backends.cuda, "enable_flash_sdp"):
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
    for kind in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU):
        patches.set(kind, "forward", _unfused(kind.forward))


def _unfused(original: Any) -> Any:
    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False):
            return original(*args, **kwargs)

    return forward


class Curvature:
    """One estimate for each optimizer: at its first round, in the Adam family at its last one."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.found: dict[int, dict[str, Any]] = {}
        self._grad = torch.autograd.grad
        recorder.on_backward.append(self._backward)

    def report(self) -> list[dict[str, Any]]:
        """The schema's Curvature entries."""
        return list(self.found.values())

    def _backward(self, kind: str, roots: list[torch.Tensor], walk: Any, round_: int) -> None:
        if kind != "backward" or len(roots) != 1 or roots[0].numel() != 1:
            return
        leaves = {id(leaf): leaf for _, leaf in walk.leaves}
        for state in self.recorder.optimizers:
            adaptive = _adaptive(state)
            due = state.steps >= min(self.recorder.steps_wanted, 3) - 1 if adaptive else True
            parameters = [p for p in state.parameters() if id(p) in leaves]
            if state.number in self.found or not due or not parameters:
                continue
            self.found[state.number] = self._estimate(state, roots[0], parameters, adaptive)

    def _estimate(
        self, state: OptimizerState, loss: torch.Tensor, parameters: list[torch.Tensor], adaptive: bool
    ) -> dict[str, Any]:
        rate = _rate(state)
        entry: dict[str, Any] = {
            "optimizer": state.number,
            "lr": rate,
            "lambda_max": float("nan"),
            "lr_lambda_max": float("nan"),
            "preconditioned": adaptive,
            "iterations": 0,
            "relative_change": float("nan"),
            "message": "",
        }
        recorder = self.recorder
        recorder.quiet += 1
        rng = torch.get_rng_state()
        try:
            value, change, count = self._lanczos(state, loss, parameters, adaptive)
            if not math.isfinite(value):
                raise RuntimeError("the second derivative of the loss is not finite")
            entry.update(lambda_max=value, lr_lambda_max=rate * value, relative_change=change, iterations=count)
        except (RuntimeError, NotImplementedError) as problem:
            entry["message"] = str(problem).strip().splitlines()[0][:300]
        finally:
            torch.set_rng_state(rng)
            recorder.quiet -= 1
        return entry

    def _lanczos(
        self, state: OptimizerState, loss: torch.Tensor, parameters: list[torch.Tensor], adaptive: bool
    ) -> tuple[float, float, int]:
        gradients = self._grad(loss, parameters, create_graph=True, allow_unused=True)
        pairs = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None and g.requires_grad]
        if not pairs:
            return 0.0, 0.0, 0
        held = [p for p, _ in pairs]
        scale = [_preconditioner(state, p, g) if adaptive else None for p, g in pairs]
        generator = torch.Generator().manual_seed(0)
        vector = [torch.randn(p.shape, generator=generator).to(p) for p in held]
        value, change = 0.0, float("inf")
        end = time.monotonic() + _SECONDS
        length = float(_length(vector))
        before = [torch.zeros_like(v) for v in vector]
        diagonal: list[float] = []
        beside = [0.0]
        while len(diagonal) < _PRODUCTS and (not diagonal or time.monotonic() < end):
            exhausted = length <= _NOTHING * max(map(abs, diagonal), default=0.0)
            if exhausted or (len(diagonal) >= _FEWEST and change < _STANDSTILL):
                break
            vector = [v / length for v in vector]
            inner = [v if s is None else v * s for v, s in zip(vector, scale, strict=True)]
            product = self._grad([g for _, g in pairs], held, inner, retain_graph=True, allow_unused=True)
            image = [torch.zeros_like(p) if h is None else h.detach() for p, h in zip(held, product, strict=True)]
            image = [h if s is None else h * s for h, s in zip(image, scale, strict=True)]
            diagonal.append(float(sum((v.double() * h.double()).sum() for v, h in zip(vector, image, strict=True))))
            image = [h - diagonal[-1] * v - beside[-1] * b for h, v, b in zip(image, vector, before, strict=True)]
            largest = _largest(diagonal, beside[1:])
            change = abs(largest - value) / max(abs(largest), 1e-30)
            value, before, vector, length = largest, vector, image, float(_length(image))
            beside.append(length)
        return value, change, len(diagonal)


def _largest(diagonal: list[float], beside: list[float]) -> float:
    """Largest eigenvalue of a symmetric tridiagonal matrix."""
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    if beside:
        off = torch.tensor(beside, dtype=torch.float64)
        matrix = matrix + torch.diag(off, 1) + torch.diag(off, -1)
    if not bool(torch.isfinite(matrix).all()):
        return float("nan")
    return float(torch.linalg.eigvalsh(matrix)[-1])


def _adaptive(state: OptimizerState) -> bool:
    return any("betas" in group and "eps" in group for group in state.optimizer.param_groups)


def _rate(state: OptimizerState) -> float:
    rates = [group.get("lr") for group in state.optimizer.param_groups]
    return max((float(rate) for rate in rates if rate is not None), default=0.0)


def _preconditioner(state: OptimizerState, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """D^-½ of the Adam family: (√v̂ + ε)^-½, with v̂ corrected for its start; |g| before the first step."""
    group = next(g for g in state.optimizer.param_groups if any(p is parameter for p in g["params"]))
    kept = state.optimizer.state.get(parameter, {})
    second = kept.get("exp_avg_sq")
    if second is None:
        root = gradient.detach().abs()
    else:
        steps = float(kept.get("step", 1))
        root = (second / (1 - group["betas"][1] ** max(steps, 1.0))).sqrt()
    return (root + group["eps"]).rsqrt()


def _length(vector: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([v.double().square().sum() for v in vector]).sum().sqrt()
