"""What each loss was fed: the operations above its input, the range of both arguments, their shapes."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
import torch.nn.functional as F

from .calls import Calls, describe
from .functions import Operations
from .graph import chain

_MAX_ROWS, _FEWEST_ROWS = 64, 4
_MAX_COLUMNS = 4096
_MAX_VALUES = 1 << 17
_CLASSES = ("cross_entropy", "nll_loss", "multi_margin_loss", "multilabel_soft_margin_loss")
_NAMES = (
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "ctc_loss",
    "gaussian_nll_loss",
    "poisson_nll_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "cosine_embedding_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
)


class LossCall:
    """One call: its interval of sequence numbers, and copies small enough to keep until the end."""

    __slots__ = (
        "after",
        "before",
        "call",
        "input",
        "largest",
        "module",
        "number",
        "point",
        "record",
        "target",
        "thread",
        "value",
    )

    def __init__(self) -> None:
        self.before = self.after = self.number = self.thread = 0
        self.module: Any = None
        self.call: Any = None
        self.input: torch.Tensor | None = None
        self.target: torch.Tensor | None = None
        self.point: tuple[int, int] | None = None
        self.value: Any = None
        self.largest: torch.Tensor | None = None
        self.record: dict[str, Any] = {}


class Losses:
    """All loss calls of the current segment, found through the torch-function mode."""

    def __init__(self, calls: Calls, operations: Operations) -> None:
        self.calls = calls
        self.operations = operations
        self.found: list[LossCall] = []
        self.total = 0
        self.functions: dict[Any, Any] = {}
        self._signatures: dict[Any, inspect.Signature | None] = {}
        for name in _NAMES:
            function = getattr(F, name, None)
            if function is not None:
                self.functions[function] = self.observe
                self._signatures[function] = _signature(function)

    def observe(self, func: Any, args: Any, kwargs: Any, result: Any, before: int, after: int) -> None:
        """Called by the mode with the arguments of a loss function that made graph nodes."""
        if not isinstance(result, torch.Tensor):
            return
        signature = self._signatures.get(func)
        bound: dict[str, Any] = {}
        if signature is not None:
            try:
                bound = dict(signature.bind_partial(*args, **kwargs).arguments)
            except TypeError:
                bound = {}
        values = list(bound.values()) or [*args, *kwargs.values()]
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        if not tensors:
            return
        given = bound.get("input", tensors[0])
        target = bound.get("target", tensors[1] if len(tensors) > 1 else None)
        if not isinstance(given, torch.Tensor):
            return
        self._note(func.__name__, given, target, result, bound, before, after)

    def _note(
        self, name: str, given: torch.Tensor, target: Any, result: torch.Tensor, bound: Any, before: int, after: int
    ) -> None:
        loss = LossCall()
        loss.number = self.total
        self.total += 1
        loss.before, loss.after, loss.thread = before, after, self.calls.thread()
        timeline = self.calls.timeline()
        loss.call = timeline.stack[-1] if timeline.stack else None
        if loss.call is not None and "loss" in type(loss.call.module).__name__.lower():
            loss.module = loss.call.module
        above = chain(given)
        if given.grad_fn is not None:
            loss.point = (given.grad_fn._sequence_nr(), given.output_nr)
        class_dim = _class_dimension(name, given, target)
        fed_dim, fed_number = _softmax_dimension(above)
        reduction = bound.get("reduction")
        broadcast = (
            isinstance(target, torch.Tensor)
            and name not in _CLASSES
            and name not in ("ctc_loss", "cosine_embedding_loss", "margin_ranking_loss", "triplet_margin_loss")
            and given.shape != target.shape
        )
        loss.record = {
            "name": name,
            "called": self.calls.places.here(),
            "reduction": str(reduction) if reduction is not None else "mean",
            "input": describe(given),
            "target": describe(target) if isinstance(target, torch.Tensor) else None,
            "output": describe(result),
            "broadcast": broadcast,
            "target_requires_grad": isinstance(target, torch.Tensor) and target.requires_grad,
            "class_dim": class_dim,
            "fed_by": [operation for operation, _ in above],
            "fed_by_dim": fed_dim,
            "fed_by_place": self._place(fed_number),
            "weighted": bound.get("weight") is not None or bound.get("pos_weight") is not None,
        }
        step = _step(given, class_dim)
        loss.input = _rows(given, class_dim, step, given)
        if isinstance(target, torch.Tensor) and target.numel():
            loss.target = _rows(target, class_dim, step, given)
            loss.largest = target.detach().max() if not target.is_complex() else None
        if result.numel() == 1:
            loss.value = result.detach().clone()
        self.found.append(loss)

    def _place(self, number: int | None) -> Any:
        """The user's line that made an autograd node: an operation, or the call of the module that did it."""
        if number is None:
            return None
        place, _ = self.operations.find(self.calls.thread(), number)
        if place is None:
            call, _ = self.calls.timeline().at(number)
            place = call.place if call is not None else None
        return place

    def custom(self, value: torch.Tensor) -> int:
        """A loss written out by hand: only the operations above it are known."""
        loss = LossCall()
        loss.number = self.total
        self.total += 1
        loss.thread = self.calls.thread()
        above = chain(value)
        dimension, number = _softmax_dimension(above)
        loss.record = {
            "name": "custom",
            "called": self.calls.places.here(),
            "reduction": None,
            "input": None,
            "target": None,
            "output": describe(value),
            "broadcast": False,
            "target_requires_grad": False,
            "class_dim": None,
            "fed_by": [operation for operation, _ in above],
            "fed_by_dim": dimension,
            "fed_by_place": self._place(number),
            "weighted": False,
        }
        if value.numel() == 1:
            loss.value = value.detach().clone()
        self.found.append(loss)
        return loss.number

    def take(self) -> list[LossCall]:
        """The segment's calls; the next segment starts empty."""
        found, self.found = self.found, []
        return found


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _class_dimension(name: str, given: torch.Tensor, target: Any) -> int | None:
    if name in ("cross_entropy", "nll_loss"):
        return 1 if given.dim() > 1 else 0
    if name in ("kl_div", "mse_loss", "l1_loss") and given.dim() > 1:
        return int(given.dim()) - 1
    return None


def _softmax_dimension(above: list[tuple[str, Any]]) -> tuple[int | None, int | None]:
    for operation, node in above[:2]:
        if operation in ("Softmax", "LogSoftmax"):
            dimension = getattr(node, "_saved_dim", None)
            if dimension is None:
                return None, int(node._sequence_nr())
            dimension = int(dimension)
            if dimension >= 1 << 62:
                dimension -= 1 << 64
            metadata = getattr(node, "_input_metadata", None)
            if dimension < 0 and metadata:
                dimension += len(metadata[0].shape)
            return dimension, int(node._sequence_nr())
    return None, int(above[0][1]._sequence_nr()) if above else None


def _step(given: torch.Tensor, class_dim: int | None) -> int:
    """Every which row is kept: the same for both arguments, so that they stay aligned."""
    last = class_dim if class_dim is not None else given.dim() - 1
    rows = given.numel() // max(given.shape[last], 1) if given.dim() > 1 else 1
    return max(1, rows // _kept_rows(given, class_dim))


def _kept_rows(given: torch.Tensor, class_dim: int | None) -> int:
    """At most 64 rows; fewer of a vocabulary, whose rows are kept whole because they may have to sum to 1."""
    if class_dim is None:
        return _MAX_ROWS
    classes = max(int(given.shape[class_dim]), 1)
    return min(_MAX_ROWS, max(_FEWEST_ROWS, _MAX_VALUES // classes))


def _rows(tensor: torch.Tensor, class_dim: int | None, step: int, like: torch.Tensor) -> torch.Tensor:
    """A copy of at most 64 rows, classes last; class indices are flattened to one value a row."""
    value = tensor.detach()
    most = _kept_rows(like, class_dim)
    if value.dim() == like.dim() and value.dim() > 1:
        if class_dim is not None:
            value = value.movedim(class_dim, -1)
        value = value.reshape(-1, value.shape[-1])[::step][:most]
        return value[:, :_MAX_COLUMNS].clone() if class_dim is None else value.clone()
    value = value.reshape(-1)
    return value[::step][: most if like.dim() > 1 else _MAX_ROWS * 16].clone()


def value_range(tensor: torch.Tensor | None, rows: bool) -> dict[str, Any] | None:
    """The schema's Range of a kept copy; `rows` says that its last dimension holds the classes."""
    if tensor is None or tensor.numel() == 0 or tensor.is_complex():
        return None
    value = tensor.double()
    extremes = value.aminmax()
    low, high = float(extremes.min), float(extremes.max)
    if not math.isfinite(low - high):
        finite = value[torch.isfinite(value)]
        if finite.numel() == 0:
            return None
        low, high = float(finite.min()), float(finite.max())
    sums = logs = 0.0
    if rows and value.dim() == 2 and value.shape[1] > 1:
        sums = float(((value.sum(1) - 1).abs() < 1e-3).double().mean())
        logs = float((value.logsumexp(1).abs() < 1e-3).double().mean())
    return {
        "minimum": low,
        "maximum": high,
        "in_unit_interval": low >= 0.0 and high <= 1.0,
        "all_nonpositive": high <= 0.0,
        "rows_sum_to_one": sums,
        "rows_logsumexp_zero": logs,
    }


def gradient_ratio(loss: LossCall) -> float | None:
    """‖∂L/∂z‖ as written over that of the fitting loss on the same logits z.

    Only for probabilities fed to a loss that expects logits: z is recovered as log p (softmax) or logit p (sigmoid),
    which is exact up to a constant that both losses ignore.
    """
    name, above = loss.record["name"], loss.record["fed_by"][:1]
    given, target = loss.input, loss.target
    if given is None or target is None or loss.record["weighted"]:
        return None
    if (name, *above) not in (("cross_entropy", "Softmax"), ("binary_cross_entropy_with_logits", "Sigmoid")):
        return None
    given = given.cpu().double()
    target = target.cpu()
    if not torch.isfinite(given).all():
        return None
    try:
        if name == "cross_entropy":
            if given.dim() != 2:
                return None
            target = target.double() if target.is_floating_point() else target
            rows = min(len(given), len(target))
            given, target = given[:rows], target[:rows]
            logits = given.clamp_min(1e-300).log().requires_grad_()
            wrong = F.cross_entropy(torch.softmax(logits, 1), target)
            right = F.cross_entropy(logits, target)
        else:
            if given.shape != target.shape:
                return None
            logits = torch.logit(given, eps=1e-12).requires_grad_()
            wrong = F.binary_cross_entropy_with_logits(torch.sigmoid(logits), target.double())
            right = F.binary_cross_entropy_with_logits(logits, target.double())
        bad = float(torch.autograd.grad(wrong, logits)[0].norm())
        good = float(torch.autograd.grad(right, logits)[0].norm())
    except (RuntimeError, IndexError, ValueError):
        return None
    return bad / good if good > 0 and math.isfinite(bad) else None
