"""Put the recorder's ears on torch: modules, backward, optimizers, clipping, scaler, schedulers, modes."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import torch
import torch.utils.checkpoint
from torch.optim import lr_scheduler
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from .patches import Patches
from .recorder import Recorder

_SCHEDULER = getattr(lr_scheduler, "LRScheduler", getattr(lr_scheduler, "_LRScheduler", None))


def install(recorder: Recorder, patches: Patches) -> list[Any]:
    """Patch everything; the returned handles are the optimizer hooks, to be removed by the caller."""
    _modules(recorder, patches)
    _backward(recorder, patches)
    _clearing(recorder, patches)
    _clipping(recorder, patches)
    _scaler(recorder, patches)
    _schedulers(recorder, patches)
    _modes(recorder, patches)
    _state_dicts(recorder, patches)
    _checkpoint(recorder, patches)
    recorder.loaders.install(patches)
    recorder.distributions.install(patches)
    return _optimizers(recorder, patches)


def _modules(recorder: Recorder, patches: Patches) -> None:
    module = torch.nn.Module
    build = module.__init__
    call_module = module.__call__
    calls = recorder.calls
    plain = torch._C.DisableTorchFunction

    @functools.wraps(build)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        recorder.module_built(self)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.active:
            return call_module(self, *args, **kwargs)
        recorder.stopper.insist()
        timeline = calls.timeline()
        if not calls.recording and timeline.stack:
            return call_module(self, *args, **kwargs)
        with plain():
            record = calls.enter(self, args, kwargs)
            if record is not None and record.parent is None and not record.skipped:
                recorder.forward(record)
        if record is None:
            return call_module(self, *args, **kwargs)
        if isinstance(self, torch.nn.RNNBase) and calls.recording and not record.skipped:
            args, kwargs = recorder.recurrent.before(record, args, kwargs)
        try:
            output = call_module(self, *args, **kwargs)
        except BaseException:
            calls.leave(record, None, True)
            raise
        with plain():
            calls.leave(record, output, False)
            if isinstance(self, torch.nn.RNNBase):
                recorder.recurrent.after(record, output)
        return output

    patches.set(module, "__init__", init)
    patches.set(module, "__call__", call)


def _backward(recorder: Recorder, patches: Patches) -> None:
    run_backward = torch.autograd.backward
    run_grad = torch.autograd.grad

    @functools.wraps(run_backward)
    def backward(
        tensors: Any,
        grad_tensors: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        grad_variables: Any = None,
        inputs: Any = None,
    ) -> None:
        if not recorder.active:
            run_backward(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)
            return
        roots = [tensors] if isinstance(tensors, torch.Tensor) else [t for t in tensors if isinstance(t, torch.Tensor)]
        scaled = any(recorder.scaling.was_scaled(root) for root in roots)
        before = recorder.backward_calls.marks()
        retain = bool(create_graph if retain_graph is None else retain_graph)
        with torch._C.DisableTorchFunction():
            entry, info, remove = recorder.backward_calls.before("backward", roots, retain, create_graph, scaled)
        recorder.quiet += 1
        try:
            run_backward(tensors, grad_tensors, retain_graph, create_graph, grad_variables, inputs)
        except BaseException:
            remove()
            raise
        finally:
            recorder.quiet -= 1
        with torch._C.DisableTorchFunction():
            recorder.backward_calls.after(entry, info, remove, before)

    @functools.wraps(run_grad)
    def grad(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.active:
            return run_grad(outputs, inputs, *args, **kwargs)
        roots = [outputs] if isinstance(outputs, torch.Tensor) else [o for o in outputs if isinstance(o, torch.Tensor)]
        create = bool(kwargs.get("create_graph", args[2] if len(args) > 2 else False))
        retain = kwargs.get("retain_graph", args[1] if len(args) > 1 else None)
        entry, info, remove = recorder.backward_calls.before(
            "autograd_grad", roots, create if retain is None else bool(retain), create, False
        )
        # With the function mode on, torch's grad dispatches to itself once more: quiet keeps that from counting twice.
        recorder.quiet += 1
        try:
            result = run_grad(outputs, inputs, *args, **kwargs)
        except BaseException:
            remove()
            raise
        finally:
            recorder.quiet -= 1
        wanted = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
        info.leaves = [tensor for tensor, value in zip(wanted, result, strict=False) if value is not None]
        recorder.backward_calls.after(entry, info, remove, {})
        return result

    patches.set(torch.autograd, "backward", backward)
    patches.set(torch.autograd, "grad", grad)


def _clearing(recorder: Recorder, patches: Patches) -> None:
    optimizer_zero = torch.optim.Optimizer.zero_grad
    module_zero = torch.nn.Module.zero_grad

    @functools.wraps(optimizer_zero)
    def clear_optimizer(self: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.active:
            with torch._C.DisableTorchFunction():
                recorder.gradients.clearing("optimizer", self, recorder.optimizer_state(self).parameters())
        return optimizer_zero(self, *args, **kwargs)

    @functools.wraps(module_zero)
    def clear_module(self: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.active:
            recorder.gradients.clearing("module", self, list(self.parameters()))
        return module_zero(self, *args, **kwargs)

    patches.set(torch.optim.Optimizer, "zero_grad", clear_optimizer)
    patches.set(torch.nn.Module, "zero_grad", clear_module)


def _clipping(recorder: Recorder, patches: Patches) -> None:
    home = torch.nn.utils.clip_grad
    for name, how, keyword in (
        ("clip_grad_norm_", "norm", "max_norm"),
        ("clip_grad_norm", "norm", "max_norm"),
        ("clip_grad_value_", "value", "clip_value"),
    ):
        original = getattr(home, name, None)
        if original is None:
            continue
        wrapper = _clip_wrapper(recorder, original, how, keyword)
        patches.set(home, name, wrapper)
        if hasattr(torch.nn.utils, name):
            patches.set(torch.nn.utils, name, wrapper)


def _clip_wrapper(recorder: Recorder, original: Any, how: str, keyword: str) -> Any:
    @functools.wraps(original)
    def clip(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.active:
            return original(parameters, *args, **kwargs)
        # A generator can be read once: the list is what the original gets too.
        tensors = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        limit = kwargs.get(keyword, args[0] if args else float("nan"))
        scaled = any(recorder.scaling.scale_of(tensor) is not None for tensor in tensors)
        entry = recorder.gradients.clip(how, float(limit), tensors, scaled)
        recorder.quiet += 1
        try:
            result = original(tensors, *args, **kwargs)
        finally:
            recorder.quiet -= 1
        recorder.gradients.clipped(entry, tensors)
        return result

    return clip


def _scaler(recorder: Recorder, patches: Patches) -> None:
    scaler = getattr(torch.amp, "GradScaler", None) or torch.cuda.amp.GradScaler
    scale, unscale, step, update = scaler.scale, scaler.unscale_, scaler.step, scaler.update

    @functools.wraps(scale)
    def scale_loss(self: Any, outputs: Any) -> Any:
        result = scale(self, outputs)
        if self.is_enabled() and isinstance(result, torch.Tensor):
            recorder.scaling.losses[id(result)] = (weakref.ref(result), self)
        return result

    @functools.wraps(unscale)
    def unscale_gradients(self: Any, optimizer: Any) -> Any:
        if recorder.active and self.is_enabled():
            recorder.event(
                "unscale", optimizer=recorder.optimizer_number(optimizer), scale=recorder.scaling.factor(self)
            )
            recorder.scaling.unscaled(optimizer)
        result = unscale(self, optimizer)
        recorder.gradients.rewritten()
        return result

    @functools.wraps(step)
    def scaler_step(self: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if not recorder.active or not self.is_enabled():
            return step(self, optimizer, *args, **kwargs)
        number = recorder.optimizer_number(optimizer)
        entry = recorder.event("scaler_step", optimizer=number, scale=recorder.scaling.factor(self), skipped=False)
        states = recorder.optimizers
        before = states[number].steps if number is not None else 0
        result = step(self, optimizer, *args, **kwargs)
        if number is not None:
            entry["skipped"] = states[number].steps == before
            if entry["skipped"]:
                recorder.stepping.skipped()
        return result

    @functools.wraps(update)
    def scaler_update(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = update(self, *args, **kwargs)
        if recorder.active and self.is_enabled():
            recorder.event("scaler_update", optimizer=None, scale=recorder.scaling.factor(self), skipped=False)
        return result

    patches.set(scaler, "scale", scale_loss)
    patches.set(scaler, "unscale_", unscale_gradients)
    patches.set(scaler, "step", scaler_step)
    patches.set(scaler, "update", scaler_update)


def _schedulers(recorder: Recorder, patches: Patches) -> None:
    if _SCHEDULER is None:
        return
    depth = [0]
    kinds = [kind for kind in vars(lr_scheduler).values() if isinstance(kind, type) and "step" in vars(kind)]
    for kind in kinds:
        patches.set(kind, "step", _scheduler_step(recorder, vars(kind)["step"], depth))
    first = getattr(_SCHEDULER, "_initial_step", None)
    if first is not None:

        @functools.wraps(first)
        def initial(self: Any) -> None:
            depth[0] += 1
            try:
                first(self)
            finally:
                depth[0] -= 1

        patches.set(_SCHEDULER, "_initial_step", initial)


def _scheduler_step(recorder: Recorder, original: Any, depth: list[int]) -> Any:
    @functools.wraps(original)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        depth[0] += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            depth[0] -= 1
        if depth[0] == 0 and recorder.active:
            recorder.stopper.insist()
            optimizer = getattr(self, "optimizer", None)
            groups = getattr(optimizer, "param_groups", [])
            recorder.event(
                "scheduler_step",
                class_name=type(self).__name__,
                optimizer=recorder.optimizer_number(optimizer),
                lr=[float(group["lr"]) for group in groups if "lr" in group],
            )
        return result

    return step


def _modes(recorder: Recorder, patches: Patches) -> None:
    original = torch.nn.Module.train
    depth = [0]

    @functools.wraps(original)
    def train(self: Any, mode: bool = True) -> Any:
        if depth[0] == 0 and recorder.active:
            recorder.mode_switched(self, bool(mode))
        depth[0] += 1
        try:
            return original(self, mode)
        finally:
            depth[0] -= 1

    patches.set(torch.nn.Module, "train", train)


def _state_dicts(recorder: Recorder, patches: Patches) -> None:
    original = torch.nn.Module.state_dict
    depth = [0]

    @functools.wraps(original)
    def state_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        depth[0] += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            depth[0] -= 1
        if depth[0] == 0 and recorder.active and isinstance(result, dict):
            recorder.snapshots.taken(self, result)
        return result

    patches.set(torch.nn.Module, "state_dict", state_dict)


def _checkpoint(recorder: Recorder, patches: Patches) -> None:
    original = torch.utils.checkpoint.checkpoint

    @functools.wraps(original)
    def checkpoint(*args: Any, **kwargs: Any) -> Any:
        if not recorder.active:
            return original(*args, **kwargs)
        timeline = recorder.calls.timeline()
        timeline.checkpoint += 1
        try:
            return original(*args, **kwargs)
        finally:
            timeline.checkpoint -= 1

    patches.set(torch.utils.checkpoint, "checkpoint", checkpoint)


def _optimizers(recorder: Recorder, patches: Patches) -> list[Any]:
    build = torch.optim.Optimizer.__init__

    @functools.wraps(build)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if not recorder.finished:
            recorder.optimizer_state(self)

    patches.set(torch.optim.Optimizer, "__init__", init)
    running: list[tuple[Any, dict[str, Any]]] = []

    def before(optimizer: Any, args: Any, kwargs: Any) -> Any:
        if not recorder.active:
            return None
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        recorder.stepping.depth += 1
        if recorder.stepping.depth > 1:
            return None
        with torch._C.DisableTorchFunction():
            entry = recorder.stepping.before(optimizer, closure is not None)
        running.append((optimizer, entry))
        if not callable(closure):
            return None
        wrapped = recorder.stepping.wrap_closure(optimizer, closure)
        if "closure" in kwargs:
            return args, {**kwargs, "closure": wrapped}
        return (args[0], wrapped, *args[2:]), kwargs

    def after(optimizer: Any, args: Any, kwargs: Any) -> None:
        if not running or recorder.finished:
            return
        recorder.stepping.depth = max(0, recorder.stepping.depth - 1)
        # An inner optimizer of a wrapper (Lookahead, SAM) steps within the outer one's step: one step in all.
        if recorder.stepping.depth or running[-1][0] is not optimizer:
            return
        _, entry = running.pop()
        with torch._C.DisableTorchFunction():
            recorder.stepping.after(entry, optimizer)

    return [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
