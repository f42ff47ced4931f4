"""The loss on the same batch after each real OptimizerStep: run the network and its loss once more, leave no trace.

Possible where one network call made the loss itself (`model(**batch).loss`), or made the first argument of one loss
call, reshaped at most. Buffers and random generators are put back; gradients are off.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch

from .calls import tensors_of

if TYPE_CHECKING:
    from .patches import Patches
    from .recorder import Recorder


class SameBatch:
    """Keeps the arguments of the first segment's network call and loss call, and repeats them after each step."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.network: Any = None
        self.arguments: tuple[Any, Any] = ((), {})
        self.outputs: list[torch.Tensor] = []
        self.loss: Any = None
        self.before: float | None = None
        self.after: list[float] = []
        self.state: Any = None
        self.usable = True
        self.optimizer = 0
        self._running = False

    def install(self, patches: Patches) -> None:
        module = torch.nn.Module
        call_module = module.__call__
        recorder = self.recorder

        def call(this: Any, *args: Any, **kwargs: Any) -> Any:
            watching = (
                self.network is None
                and not self._running
                and recorder.active
                and not recorder.calls.timeline().stack
                and torch.is_grad_enabled()
                and next(this.parameters(), None) is not None
            )
            state = _state() if watching else None
            output = call_module(this, *args, **kwargs)
            if watching:
                self.network, self.arguments, self.state = this, (args, kwargs), state
                self.outputs = [tensor for tensor in tensors_of(output) if tensor.requires_grad]
            return output

        patches.set(module, "__call__", call)
        recorder.on_backward.append(self._backward)
        recorder.on_step.append(self._step)
        for function, observe in list(recorder.losses.functions.items()):
            recorder.losses.functions[function] = self._observed(function, observe)

    def _observed(self, function: Any, observe: Any) -> Any:
        def record(func: Any, args: Any, kwargs: Any, result: Any, before: int, after: int) -> None:
            observe(func, args, kwargs, result, before, after)
            if self.before is None and self.network is not None and not self._running:
                values = [*args, *kwargs.values()]
                given = kwargs.get("input", args[0] if args else None)
                position = next((i for i, out in enumerate(self.outputs) if _same_storage(out, given)), None)
                if position is not None and len(values):
                    self.loss = (function, position, given.shape, args[1:], {**kwargs, "input": None}, result)

        return record

    def _backward(self, kind: str, roots: list[torch.Tensor], walk: Any, round_: int) -> None:
        if self.before is not None or self.network is None or kind != "backward" or len(roots) != 1:
            return
        self._compare(roots[0])
        # What is kept of the first pass must not keep its graph alive: the script's own holders are counted.
        self.outputs = []
        if self.loss is not None:
            self.loss = (*self.loss[:-1], None)

    def _compare(self, root: torch.Tensor) -> None:
        direct = next((i for i, out in enumerate(self.outputs) if out is root), None)
        if direct is not None:
            self.loss = (None, direct, root.shape, (), {}, root)
        elif self.loss is None or self.loss[-1] is not root:
            self.usable = False
            self.before = float("nan")
            return
        self.before = float(root.detach())

    def _step(self, state: Any) -> None:
        if self.before is None or not self.usable or len(self.after) >= 8:
            return
        self.optimizer = state.number
        value = self._again()
        if value is None:
            self.usable = False
        else:
            self.after.append(value)

    def _again(self) -> float | None:
        function, position, shape, rest, keywords, _ = self.loss
        buffers = [(buffer, buffer.detach().clone()) for buffer in self.network.buffers()]
        now = _state()
        recorder = self.recorder
        recorder.quiet += 1
        self._running = True
        try:
            _restore(self.state)
            with torch.no_grad():
                args, kwargs = self.arguments
                outputs = [t for t in tensors_of(self.network(*args, **kwargs)) if t.is_floating_point()]
                if position >= len(outputs):
                    return None
                value = outputs[position]
                if function is not None:
                    keywords = {name: item for name, item in keywords.items() if name != "input"}
                    value = function(value.reshape(shape), *rest, **keywords)
                return float(value)
        except (RuntimeError, TypeError, ValueError):
            return None
        finally:
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)
            _restore(now)
            recorder.quiet -= 1
            self._running = False

    def report(self) -> list[dict[str, Any]]:
        """The schema's SameBatchLoss entries."""
        if self.before is None or not self.after:
            return []
        return [{"optimizer": self.optimizer, "before": self.before, "after": self.after}]


def _same_storage(output: torch.Tensor, given: Any) -> bool:
    return (
        isinstance(given, torch.Tensor)
        and given.numel() == output.numel()
        and given.data_ptr() == output.data_ptr()
        and given.is_contiguous() == output.is_contiguous()
    )


def _state() -> Any:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    return torch.get_rng_state(), random.getstate(), cuda


def _restore(state: Any) -> None:
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    if state[2] is not None:
        torch.cuda.set_rng_state_all(state[2])
