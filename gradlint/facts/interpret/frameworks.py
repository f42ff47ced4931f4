"""What frameworks do in place of the script: prepare, backward, clip, step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.events import Backward, ClipGrad, Freeze, OptimizerStep, Run, Unscale, ZeroGrad
from gradlint.facts.frameworks import INITIALISERS, MANAGERS, TAKEOVERS
from gradlint.facts.interpret import calls, functions, tensors
from gradlint.facts.merging import merge
from gradlint.facts.roles import last_name, role
from gradlint.facts.values import (
    NONE,
    Collection,
    Context,
    FunctionValue,
    Instance,
    Manager,
    Mapping,
    Optimizer,
    Parameters,
    Place,
    Scheduler,
    Tensor,
    Unknown,
    Value,
    is_module,
    options,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

Arguments = list[Value]
Keywords = dict[str, Value]


def construct(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value | None:
    """The central object of a framework, or what its set-up call returns; None if it is neither."""
    if name in MANAGERS:
        kind = MANAGERS[name]
        it.facts.frameworks.add(kind)
        return Manager(kind, arguments, keywords, place)
    if name in TAKEOVERS:
        it.facts.frameworks.add(name.partition(".")[0])
        return Manager(name.partition(".")[0], arguments, keywords, place)
    if name in ("apex.amp.scale_loss",):
        scaled = tensors.derive(it, arguments[:1], place)
        scaled.attribute, scaled.owner, scaled.hint = "scaled", Unknown("amp", "value"), "loss"
        scaled.loss = arguments[0].loss if arguments and isinstance(arguments[0], Tensor) else None
        return Context("scale_loss", scaled, place)
    if name == "apex.amp.master_params" and arguments:
        return Parameters((arguments[0],))
    if name not in INITIALISERS:
        return None
    kind = INITIALISERS[name]
    it.facts.frameworks.add(kind if kind in ("deepspeed", "apex") else name.partition(".")[0])
    values = [*arguments, *keywords.values()]
    model = next(
        (v for v in values if is_module(v)), keywords.get("model", arguments[0] if arguments else Unknown("model"))
    )
    optimizer = next((v for v in values if isinstance(v, Optimizer) or role(v) == "optimizer"), None)
    if kind == "apex":
        return Collection("tuple", [model, optimizer]) if optimizer is not None else model
    if kind == "deepspeed":
        engine = Manager("deepspeed", [model, *([optimizer] if optimizer else [])], keywords, place)
        managed = optimizer if optimizer is not None else Unknown("optimizer", "call")
        if isinstance(managed, Optimizer):
            managed.managed = "deepspeed"
        return Collection("tuple", [engine, managed, it.unknown("loader"), it.unknown("scheduler", "call")])
    if kind == "rpc":
        return Manager("rpc", arguments, keywords, place)
    if kind == "zero":
        return Optimizer(name, tuple(arguments[:1]), keywords, place)
    return optimizer if optimizer is not None else (arguments[0] if arguments else model)


def manager_method(
    it: Interpreter, manager: Manager, name: str, arguments: Arguments, keywords: Keywords, place: Place, hint: str
) -> Value:
    """A method of a framework's central object."""
    first = arguments[0] if arguments else None
    if name in ("fit", "run"):
        calls.record(it, f"Manager.{name}", arguments, keywords, manager, place, receiver=manager)
    if manager.kind == "rpc":
        return NONE
    if name in (
        "prepare", "setup", "prepare_model", "prepare_optimizer", "prepare_data_loader", "setup_module",
        "setup_optimizers", "setup_dataloaders", "prepare_scheduler", "boost",
    ):  # fmt: skip
        return _handed_back(it, manager, arguments, keywords)
    if name in ("make_private", "make_private_with_epsilon"):
        private = keywords.get("optimizer")
        if isinstance(private, Optimizer):
            private.managed = manager.kind
        return Collection("tuple", [keywords.get(key, Unknown(key)) for key in ("module", "optimizer", "data_loader")])
    if name in ("backward", "manual_backward") and first is not None:
        it.emit(Backward(place, it.frame.function, first, keywords.get("retain_graph"), via=manager, scaled=True))
        return NONE
    if name in ("clip_grad_norm_", "clip_gradients", "clip_grad_value_", "clip_grad_norm"):
        target = first if first is not None else manager
        limit = arguments[1] if len(arguments) > 1 else keywords.get("max_norm", keywords.get("clip_val"))
        it.emit(ClipGrad(place, it.frame.function, "value" if "value" in name else "norm", target, limit, hint))
        return it.unknown("grad_norm")
    if name == "unscale_gradients":
        it.emit(Unscale(place, it.frame.function, manager, first if first is not None else manager))
        return NONE
    if name in ("accumulate", "no_backward_sync", "autocast", "no_sync", "join_uneven_inputs"):
        return Context(name, manager, place)
    if (
        name in ("unwrap_model", "skip_first_batches", "gather", "reduce", "gather_for_metrics", "to_device")
        and first is not None
    ):
        return first
    if manager.kind == "deepspeed":
        if name == "step":
            it.emit(OptimizerStep(place, it.frame.function, manager, manager))
            it.emit(ZeroGrad(place, it.frame.function, manager))
            return NONE
        if name in ("parameters", "train", "eval", "named_parameters"):
            from gradlint.facts.interpret import methods

            return methods.call(it, manager.arguments[0], name, arguments, keywords, place, hint)
    return it.unknown(last_name(hint), "call")


def _handed_back(it: Interpreter, manager: Manager, arguments: Arguments, keywords: Keywords) -> Value:
    for value in (option for argument in arguments for option in options(argument)):
        if isinstance(value, Optimizer):
            value.managed = manager.kind
    return arguments[0] if len(arguments) == 1 else Collection("tuple", list(arguments))


_MANAGED_BACKWARD = ("accelerator", "fabric", "engine", "booster", "strategy")


def unknown_method(
    it: Interpreter, receiver: Unknown, name: str, arguments: Arguments, keywords: Keywords, place: Place, hint: str
) -> Value | None:
    """A method of an unseen object that is named like a framework's; None if it is not."""
    known = last_name(receiver.hint).lower()
    if name in ("prepare", "setup") and any(word in known for word in _MANAGED_BACKWARD) and arguments:
        return arguments[0] if len(arguments) == 1 else Collection("tuple", list(arguments))
    if name in ("clip_grad_norm_", "clip_gradients", "clip_grad_value_", "clip_grad_norm", "clip_master_grads"):
        target = arguments[0] if arguments and any(word in known for word in _MANAGED_BACKWARD) else receiver
        limit = arguments[-1] if arguments else keywords.get("max_norm")
        it.emit(ClipGrad(place, it.frame.function, "value" if "value" in name else "norm", target, limit, hint))
        return it.unknown("grad_norm")
    if name in ("accumulate", "no_backward_sync", "no_sync") and role(receiver) in ("manager", "module"):
        return Context(name, receiver, place)
    if role(receiver) == "manager" and name == "step" and {"backward"} & receiver.uses:
        it.emit(OptimizerStep(place, it.frame.function, receiver, receiver))
        it.emit(ZeroGrad(place, it.frame.function, receiver))
        return NONE
    return None


def engine_method(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value | None:
    """DeepSpeed-like engines that wrap the model: `engine.backward(loss)`, `engine.step()`."""
    if name == "backward" and arguments:
        it.emit(Backward(place, it.frame.function, arguments[0], via=receiver, scaled=True))
        return NONE
    if name in ("clip_grad_norm_",):
        it.emit(ClipGrad(place, it.frame.function, "norm", receiver, arguments[0] if arguments else None, name))
        return it.unknown("grad_norm")
    return None


def lightning_method(
    it: Interpreter, receiver: Instance, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value | None:
    """`self.optimizers()`, `self.manual_backward(loss)` … of a LightningModule."""
    if name == "manual_backward" and arguments:
        it.emit(
            Backward(place, it.frame.function, arguments[0], keywords.get("retain_graph"), via=receiver, scaled=True)
        )
        return NONE
    if name in ("freeze", "unfreeze"):
        it.emit(Freeze(place, it.frame.function, receiver, name == "unfreeze"))
        return NONE
    if name == "optimizers":
        return _configured(it, receiver, Optimizer) or Unknown("optimizers", "call")
    if name == "lr_schedulers":
        return _configured(it, receiver, Scheduler) or Unknown("schedulers", "call")
    if name == "save_hyperparameters":
        init = next(
            (
                frame
                for frame in reversed(it.frames)
                if frame.receiver is receiver and frame.function.endswith("__init__")
            ),
            None,
        )
        if init is not None:
            given = {key: value for key, value in init.scope.names.items() if value is not receiver}
            it.journal.write(receiver.attributes, "hparams", Mapping(given, open=True))
        return NONE
    if name == "clip_gradients":
        target = arguments[0] if arguments else receiver
        it.emit(ClipGrad(place, it.frame.function, "norm", target, keywords.get("gradient_clip_val"), name))
        return NONE
    if name in ("log", "log_dict", "print", "toggle_optimizer", "untoggle_optimizer", "all_gather", "freeze"):
        return it.unknown(name)
    return None


def _configured(it: Interpreter, receiver: Instance, kind: type[Value]) -> Value | None:
    """The optimizers or schedulers that `configure_optimizers` returns, always the same objects."""
    if _CONFIGURED not in receiver.attributes:
        hit = receiver.cls.find("configure_optimizers")
        if hit is None or not isinstance(hit[0], FunctionValue):
            return None
        receiver.attributes[_CONFIGURED] = NONE
        receiver.attributes[_CONFIGURED] = _configure(it, receiver, hit[0])
    ways = [_kept(way, kind) for way in options(receiver.attributes[_CONFIGURED])]
    found = [way for way in ways if way is not None]
    return merge(found) if found else None


def _kept(result: Value, kind: type[Value]) -> Value | None:
    found = [part for part in _inside(result) if isinstance(part, kind)]
    if not found:
        return None
    return found[0] if len(found) == 1 else Collection("list", list(found))


def _configure(it: Interpreter, receiver: Instance, method: FunctionValue) -> Value:
    """What `configure_optimizers` returns: a way into the file of its own, wherever the step asks for it first."""
    outer = (it.quiet, it.repeats, it.branches, it.recording)
    it.quiet, it.repeats, it.branches, it.recording = 0, [], 0, True
    try:
        with it.taped() as tape:
            result = functions.enter(it, functions.bound(method, receiver, receiver.cls), [], {}, it.place(None))
    finally:
        it.quiet, it.repeats, it.branches, it.recording = outer
    name = f"{receiver.name}.configure_optimizers"
    it.facts.runs.append(Run(name, method.scope.path, tape, receiver.kind, result))
    return result


def _inside(value: Value) -> list[Value]:
    if isinstance(value, Collection):
        return [found for item in value.items for found in _inside(item)]
    if isinstance(value, Mapping):
        return [found for item in value.items.values() for found in _inside(item)]
    return [value]


_CONFIGURED = "\0configured"
