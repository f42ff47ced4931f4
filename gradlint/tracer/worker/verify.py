"""Proof that tracing changes nothing: the same script, traced and untraced, compared bit for bit at the same step."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import sys
from typing import Any

import torch

from .patches import Patches
from .recorder import Recorder

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
)


def count_steps(recorder: Recorder, patches: Patches) -> None:
    """The untraced run: nothing but a count of OptimizerSteps, so that it stops where the traced one did."""
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    build = torch.nn.Module.__init__
    build_optimizer = torch.optim.Optimizer.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        recorder.module_built(self)

    def init_optimizer(self: Any, *args: Any, **kwargs: Any) -> None:
        build_optimizer(self, *args, **kwargs)
        recorder.optimizer_state(self)

    patches.set(torch.nn.Module, "__init__", init)
    patches.set(torch.optim.Optimizer, "__init__", init_optimizer)
    depth = [0]

    def before(optimizer: Any, args: Any, kwargs: Any) -> None:
        depth[0] += 1

    def after(optimizer: Any, args: Any, kwargs: Any) -> None:
        depth[0] -= 1
        if depth[0] or recorder.finished or os.getpid() != recorder._process:
            recorder.stopper.insist()
            return
        recorder.optimizer_state(optimizer).steps += 1
        recorder.steps_seen += 1
        if recorder.steps_seen >= recorder.steps_wanted:
            recorder.finish()
            recorder.stopper.stop()

    register_optimizer_step_pre_hook(before)
    register_optimizer_step_post_hook(after)


def fingerprint(recorder: Recorder) -> dict[str, str]:
    """A hash of everything a trace could have touched, by name."""
    found: dict[str, str] = {}
    inside: set[int] = set()
    alive = [reference() for reference, _ in recorder.built.values()]
    modules = [module for module in alive if module is not None and "_modules" in module.__dict__]
    for module in modules:
        inside.update(id(child) for child in module._modules.values() if child is not None)
    tops = [module for module in modules if id(module) not in inside]
    for number, top in enumerate(tops):
        base = f"{type(top).__name__}[{number}]"
        for name, module in top.named_modules():
            place = base + "." + name if name else base
            found["mode of " + place] = str(module.training)
            hooks = [len(getattr(module, attribute, ()) or ()) for attribute in _HOOKS]
            found["hooks on " + place] = str(hooks)
            found["attributes of " + place] = ",".join(sorted(module.__dict__))
        for name, parameter in top.named_parameters():
            found[f"parameter {base}.{name}"] = _hash(parameter)
            found[f"gradient of {base}.{name}"] = _hash(parameter.grad)
            found[f"tensor hooks on {base}.{name}"] = str(len(parameter._backward_hooks or ()))
        for name, buffer in top.named_buffers():
            found[f"buffer {base}.{name}"] = _hash(buffer)
    for state in recorder.optimizers:
        for position, parameter in enumerate(state.parameters()):
            for key, value in state.optimizer.state.get(parameter, {}).items():
                text = _hash(value) if isinstance(value, torch.Tensor) else repr(value)
                found[f"optimizer {state.number} state {key} of parameter {position}"] = text
    found["rng torch"] = _hash(torch.get_rng_state())
    found["rng python"] = hashlib.sha256(repr(random.getstate()).encode()).hexdigest()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        found["rng numpy"] = hashlib.sha256(pickle.dumps(numpy.random.get_state())).hexdigest()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["rng cuda"] = _hash(torch.cuda.get_rng_state())
    found["grad mode"] = str(torch.is_grad_enabled())
    found["default dtype"] = str(torch.get_default_dtype())
    return found


def _hash(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "None"
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return str(tensor.layout)
    value = tensor.detach().cpu().contiguous()
    if value.numel() == 0:
        return str(tuple(value.shape))
    data = value.reshape(-1).view(torch.uint8).numpy() if _has_numpy() else value.reshape(-1).view(torch.uint8).tolist()
    return hashlib.sha256(bytes(data) + str((tuple(value.shape), value.dtype)).encode()).hexdigest()


def _has_numpy() -> bool:
    try:
        import numpy  # type: ignore[import-not-found,unused-ignore] # noqa: F401
    except ImportError:
        return False
    return True
