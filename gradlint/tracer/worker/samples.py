"""Statistics of many tensors with few operations: copy a strided sample now, reduce all of them together later.

The copies stay on the tensors' device; `flush` reduces there and moves one small table to the host. Sampling keeps a
full ResNet-18 step within the cost goal; a tensor of at most `limit` elements is taken whole.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd, isfinite
from typing import Any

import torch

_FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")


def stride_for(tensor: torch.Tensor, limit: int) -> int:
    """A step that shares no factor with the size, so that the sample visits every channel and position."""
    count = tensor.numel()
    step = count // limit
    while step > 1 and gcd(step, count) > 1:
        step -= 1
    return int(max(step, 1))


def sample(tensor: torch.Tensor, limit: int) -> torch.Tensor:
    """A flat copy of at most `limit` elements, in memory order where the tensor is dense."""
    count = tensor.numel()
    if count <= limit:
        return tensor.reshape(-1).clone()
    step = stride_for(tensor, limit)
    if torch._C._TensorBase.is_contiguous(tensor) or tensor.is_contiguous(memory_format=_format(tensor)):
        return torch.as_strided(tensor, (limit,), (step,), tensor.storage_offset()).clone()
    return tensor.reshape(-1)[::step][:limit].clone()


def _format(tensor: torch.Tensor) -> torch.memory_format:
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim(), torch.contiguous_format)


def measurable(value: Any) -> bool:
    """Dense floating-point tensors with elements and real storage."""
    return (
        isinstance(value, torch.Tensor)
        and (value.is_floating_point() or value.is_complex())
        and value.layout == torch.strided
        and value.numel() > 0
        and value.device.type != "meta"
        and not value.is_quantized
        and str(value.dtype)[6:] not in _FLOAT8
    )


class Samples:
    """A ticket is the index into `stats`, which is complete up to the last `flush`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stats: list[dict[str, Any]] = []
        self._taken: list[torch.Tensor] = []
        self._sums: list[torch.Tensor | None] = []
        self._counts: list[int] = []
        self._kinds: list[str | None] = []
        self._peaks: dict[int, torch.Tensor] = {}
        self._norms: dict[int, torch.Tensor] = {}

    def gradient(self, tensor: torch.Tensor) -> int:
        """Like `take`, and with the norm of the whole tensor where its rows are wide.

        Nearly all of the gradient on the logits of many classes sits in one element a row, which a sample misses.
        """
        ticket = self.take(tensor)
        if tensor.dim() > 1 and tensor.shape[-1] >= _WIDE and tensor.numel() > self.limit and not tensor.is_complex():
            kind = torch.float64 if tensor.is_cuda else torch.float32 if tensor.dtype in HALF else None
            with torch._C.DisableTorchFunction():
                self._norms[len(self._taken) - 1] = torch.linalg.vector_norm(tensor.detach(), dtype=kind)
        return ticket

    def take(self, tensor: torch.Tensor, kind: str | None = None, whole: bool = False) -> int:
        """Copy a sample of a measurable tensor, with `whole` also its full sum, finite only if every element is.

        `kind` names the activation that made the tensor; its saturated share and dead units are then counted too.
        """
        with torch._C.DisableTorchFunction():
            tensor = tensor.detach()
            if tensor.is_complex():
                tensor = torch.view_as_real(tensor)
            piece = sample(tensor, self.limit)
            total = None
            if whole and piece.numel() < tensor.numel():
                total = tensor.sum(dtype=torch.float32) if tensor.dtype in HALF else tensor.sum()
            ticket = self.add(piece, tensor.numel(), total, kind)
            if kind in _SLOPES and tensor.dim() in _UNIT_DIMENSION and tensor.shape[0] > 1:
                self._peaks[len(self._taken) - 1] = _unit_peaks(tensor, kind)
        return ticket

    def add(self, piece: torch.Tensor, count: int, total: torch.Tensor | None = None, kind: str | None = None) -> int:
        """Take a flat piece that is already a copy, of a tensor with `count` elements."""
        self._taken.append(piece)
        self._counts.append(count)
        self._sums.append(total)
        self._kinds.append(kind)
        return len(self.stats) + len(self._taken) - 1

    def flush(self) -> None:
        """Reduce what was taken to numbers, in float64, with one transfer a device; the samples are forgotten."""
        results: list[dict[str, Any]] = [{} for _ in self._taken]
        buckets: dict[tuple[torch.device, torch.dtype, int], list[int]] = {}
        for index, piece in enumerate(self._taken):
            buckets.setdefault((piece.device, piece.dtype, piece.numel()), []).append(index)
        tables = []
        for indices in buckets.values():
            for start in range(0, len(indices), 256):
                part = indices[start : start + 256]
                tables.append((part, self._reduce(part)))
        by_device: dict[torch.device, list[torch.Tensor]] = {}
        for _, table in tables:
            by_device.setdefault(table.device, []).append(table)
        moved = {device: iter(torch.cat(parts).tolist()) for device, parts in by_device.items()}
        for indices, table in tables:
            rows = moved[table.device]
            for index in indices:
                results[index] = self._statistics(index, next(rows))
        self.stats.extend(results)
        self._taken, self._sums, self._counts, self._kinds, self._peaks, self._norms = [], [], [], [], {}, {}

    def _reduce(self, indices: list[int]) -> torch.Tensor:
        """One row a piece: mean, second moment, zeros, peak, full sum, bad, saturated, dead units, units."""
        table = torch.stack([self._taken[index] for index in indices])
        if table.dtype in HALF:
            table = table.float()
        peak = table.abs().amax(1)
        mean = table.mean(1).double()
        # As floats: counting booleans is fifteen times slower on the CPU.
        zeros = (table == 0).to(table.dtype).sum(1).double()
        # Scaled by the peak, which keeps squares of tiny gradients from underflowing in any type.
        scale = torch.where((peak > 0) & (peak < float("inf")), peak, torch.ones_like(peak))
        second = torch.linalg.vector_norm(table.div_(scale[:, None]), dim=1).double().square() / table.shape[1]
        second = second * scale.double().square()
        peak = peak.double()
        full = torch.stack(
            [mean[row] if total is None else total.double() for row, total in enumerate(self._sums[i] for i in indices)]
        )
        for row, index in enumerate(indices):
            norm = self._norms.get(index)
            if norm is not None:
                exact = norm.double().square() / self._counts[index]
                # Where squares underflow in the norm's own type the scaled sample knows more.
                second[row] = torch.where(norm > _UNDERFLOW, exact, second[row])
        columns = torch.stack([mean, second, zeros, peak, full], 1)
        extra = torch.zeros(len(indices), 3, dtype=torch.float64, device=table.device)
        for row, index in enumerate(indices):
            kind = self._kinds[index]
            if kind == "relu":
                extra[row, 0] = zeros[row]
            elif kind in _SLOPES:
                extra[row, 0] = (_SLOPES[kind](self._taken[index].float()) < _SATURATED).sum()
            peaks = self._peaks.get(index)
            if peaks is not None:
                extra[row, 1] = (peaks < _SATURATED).sum()
                extra[row, 2] = peaks.numel()
        return torch.cat([columns, extra], 1)

    def _statistics(self, index: int, row: list[float]) -> dict[str, Any]:
        mean, second, zeros, peak, full, saturated, dead, units = row
        piece = self._taken[index]
        bad = 0
        if not (isfinite(mean) and isfinite(full)):
            bad = max(int((~torch.isfinite(piece)).sum()), int(piece.numel() < self._counts[index]))
        size = max(piece.numel(), 1)
        return {
            "count": self._counts[index],
            "sampled": piece.numel(),
            "mean": mean,
            "second_moment": second,
            "zero_share": zeros / size,
            "nonfinite": bad,
            "max_abs": peak,
            "saturated_share": saturated / size if self._kinds[index] in _SLOPES else None,
            "dead_units": int(dead) if units else None,
            "units": int(units) if units else None,
        }


def _unit_peaks(tensor: torch.Tensor, kind: str | None) -> torch.Tensor:
    """The largest slope of each unit (channel or feature) over the batch, or over rows of it worth 2¹⁸ elements."""
    dimension = _UNIT_DIMENSION[tensor.dim()]
    rows = max(2, (1 << 18) * tensor.shape[0] // tensor.numel())
    tensor = tensor[:: max(1, tensor.shape[0] // rows)]
    others = [d for d in range(tensor.dim()) if d != dimension]
    if kind == "relu":
        return tensor.amax(others)
    return _SLOPES[kind](tensor.float()).amax(others)


_SATURATED = 1e-3
_WIDE = 512
_UNDERFLOW = 1e-15
_UNIT_DIMENSION = {2: 1, 3: 2, 4: 1, 5: 1}
# Slope of the activation as a share of its maximum, written in its output.
_SLOPES: dict[Any, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": lambda out: (out > 0).float(),
    "sigmoid": lambda out: 4 * out * (1 - out),
    "tanh": lambda out: 1 - out * out,
    "softmax": lambda out: 4 * out * (1 - out),
}
HALF = (torch.float16, torch.bfloat16)


class Scalars:
    """Zero-dimensional results that are wanted on the host later: one stack and one transfer a flush."""

    def __init__(self) -> None:
        self._pending: list[tuple[torch.Tensor, Later]] = []

    def later(self, value: torch.Tensor) -> Later:
        result = Later()
        self._pending.append((value.detach(), result))
        return result

    def flush(self) -> None:
        by_device: dict[torch.device, list[tuple[torch.Tensor, Later]]] = {}
        for value, result in self._pending:
            by_device.setdefault(value.device, []).append((value, result))
        self._pending = []
        for pairs in by_device.values():
            numbers = torch.stack([value.double().reshape(()) for value, _ in pairs]).tolist()
            for number, (_, result) in zip(numbers, pairs, strict=False):
                result.value = number


class Later:
    """A float that is known after the next flush."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None


def resolved(value: Any) -> Any:
    """The same structure with every Later replaced by its number."""
    if isinstance(value, Later):
        return value.value
    if isinstance(value, dict):
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def norms(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """2-norm of each tensor as a float64 scalar on its device, safe from underflow.

    A float32 norm of gradients below 1e-19 is exactly 0. On CUDA one float64 accumulation costs nothing extra; on the
    CPU it is 18 times slower than float32, so only norms that come out tiny or huge are done again.
    """
    values = [_dense(tensor) for tensor in tensors]
    results: list[torch.Tensor] = [torch.zeros((), dtype=torch.float64)] * len(values)
    by_kind: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for index, value in enumerate(values):
        if value.numel() == 0:
            continue
        if value.dtype in HALF and not value.is_cuda:
            values[index] = value = value.float()
        by_kind.setdefault((value.device, value.dtype), []).append(index)
    for (device, _), indices in by_kind.items():
        group = [values[index] for index in indices]
        if device.type == "cuda":
            for index, norm in zip(indices, torch._foreach_norm(group, 2.0, torch.float64), strict=True):
                results[index] = norm
            continue
        for index, norm in zip(indices, torch._foreach_norm(group, 2.0), strict=False):
            rough = float(norm)
            if not 1e-12 < rough < 1e15:
                exact = values[index].double()
                peak = float(exact.abs().max())
                norm = (exact / peak).norm() * peak if 0 < peak < float("inf") else exact.norm()
            results[index] = norm.double()
    return results


def _dense(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.reshape(1) if tensor.dim() == 0 else tensor


def total_norm(values: list[torch.Tensor]) -> torch.Tensor:
    """The norm of all from the norms of each, on the first one's device; 0 without any."""
    if not values:
        return torch.zeros((), dtype=torch.float64)
    device = values[0].device
    return torch.stack([value.to(device) for value in values]).norm()
