"""Functions that train: optimizers, schedulers, clipping, autograd, and the contexts they run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.events import Backward, ClipGrad, Construct, OptimizerStep, SaveSnapshot
from gradlint.facts.interpret import calls, forward, iterators, library, tensors
from gradlint.facts.interpret.method_call import Arguments, Handler, Keywords, argument
from gradlint.facts.roles import last_name, role
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    Context,
    Cut,
    External,
    FunctionValue,
    Mapping,
    Optimizer,
    Place,
    Scheduler,
    Snapshot,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def is_optimizer(name: str) -> bool:
    """Whether an installed name is an optimizer class."""
    if not name.startswith(names.OPTIMIZER_PREFIXES) or any(name.startswith(other) for other in names.NOT_OPTIMIZERS):
        return False
    return name.rpartition(".")[2][:1].isupper()


def one_class(choice: Choice) -> External | None:
    """What optimizer classes that a branch or a table chooses from have in common; None for anything else."""
    found = [option.name for option in choice.options if isinstance(option, External) and is_optimizer(option.name)]
    if len(found) != len(choice.options):
        return None
    same = len({last_name(name).removesuffix("8bit") for name in found}) == 1
    return External(found[-1] if same else _BASES["torch.optim"])


def optimizer(
    it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place, known: bool = True
) -> Optimizer:
    """An optimizer built over its first argument."""
    given = arguments[0] if arguments else keywords.get("params", keywords.get("parameters"))
    settings = {key: value for key, value in keywords.items() if key not in ("params", "parameters")}
    if len(arguments) > 1:
        settings.setdefault("lr", arguments[1])
    groups: list[dict[str, Value]] = []
    parameters: list[Value] = []
    for part in _groups(given):
        if isinstance(part, Mapping) and "params" in part.items:
            parameters.append(part.items["params"])
            groups.append({str(key): value for key, value in part.items.items() if key != "params"})
        elif part is not None:
            parameters.append(part)
    for value in parameters:
        iterators.exhaust(it, value, place, last_name(name))
    found = Optimizer(
        name, tuple(parameters), settings, place, known, tuple(groups), closure=last_name(name) == "LBFGS"
    )
    found.alternatives = isinstance(given, Choice)
    found.unusual = it.unusual
    if it.once("optimizer", place):
        it.facts.optimizers.append(found)
    it.emit(Construct(place, it.frame.function, found))
    return found


def _groups(given: Value | None) -> list[Value | None]:
    if isinstance(given, Collection) and any(isinstance(item, Mapping) for item in given.items):
        return list(given.items)
    if isinstance(given, Choice):
        return list(given.options)
    return [given]


def scheduler(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """A learning rate scheduler over its first argument."""
    target = arguments[0] if arguments else keywords.get("optimizer")
    if isinstance(target, Constant) and last_name(name) == "get_scheduler":
        target = keywords.get("optimizer", arguments[1] if len(arguments) > 1 else None)
    if last_name(name) in ("SequentialLR", "ChainedScheduler") and isinstance(target, Collection):
        inner = target.items[0] if target.items else None
        target = inner.optimizer if isinstance(inner, Scheduler) else None
    found = Scheduler(name, target, arguments, keywords, place)
    if it.once("scheduler", place):
        it.facts.schedulers.append(found)
    it.emit(Construct(place, it.frame.function, found))
    return found


def clip(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`clip_grad_norm_` and its kin."""
    target = arguments[0] if arguments else keywords.get("parameters", Unknown("parameters"))
    limit = None
    for key, position in (("max_norm", 1), ("clip_value", 1), ("value", 1)):
        limit = limit or argument(arguments, keywords, position, key)
    it.emit(ClipGrad(place, it.frame.function, names.CLIPPERS[name], target, limit, last_name(name)))
    iterators.exhaust(it, target, place, last_name(name))
    return it.unknown("grad_norm")


def _backward(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[0] if arguments else keywords.get("tensors", Unknown("loss"))
    loss = given.items[0] if isinstance(given, Collection) and given.items else given
    retain, create = keywords.get("retain_graph"), keywords.get("create_graph")
    gradient = argument(arguments, keywords, 1, "grad_tensors")
    it.emit(Backward(place, it.frame.function, loss, retain, create, gradient=gradient))
    return Constant(None)


def _grad(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`torch.autograd.grad(outputs, inputs)`: hangs on what computed the outputs if `create_graph` is on."""
    outputs, kept = argument(arguments, keywords, 0, "outputs"), keywords.get("create_graph")
    kept = kept or (arguments[4] if len(arguments) > 4 else Constant(False))
    found = tensors.derive(it, [outputs], place)
    found.loss, found.form, found.chain = None, None, None
    if not isinstance(kept, Constant) or kept.default or "**" in keywords:
        found.mystery = True
    elif not kept.value:
        lost = Cut("grad", place, found.roots, found.cuts)
        found.roots, found.mystery, found.cuts, found.sources = frozenset(), False, (*found.cuts, lost), ()
    return Collection("tuple", [found], open=True, element=found)


def _variable(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`Variable(tensor)` of old code: the same data with no history."""
    first = argument(arguments, keywords, 0, "data")
    if not isinstance(first, Tensor) or not (first.roots or first.cuts):
        return library.unknown_function(it, name, arguments, keywords, place, name)
    cut = tensors.cut(it, first, "variable", place)
    if isinstance(cut, Tensor) and constant(argument(arguments, keywords, 1, "requires_grad")):
        cut.attribute = "requires_grad"
    return cut


def _save(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`torch.save(obj, path)`: an event where a state dict is saved that was taken earlier."""
    state = argument(arguments, keywords, 0, "obj")
    if state is not None and any(isinstance(part, Snapshot) for part in _held(state)):
        it.emit(SaveSnapshot(place, it.frame.function, state))
    return Constant(None)


def _held(value: Value) -> list[Value]:
    if isinstance(value, Collection):
        return [part for item in value.items for part in _held(item)]
    if isinstance(value, Mapping):
        return [part for item in value.items.values() for part in _held(item)]
    return list(value.options) if isinstance(value, Choice) else [value]


def _functional_call(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`functional_call(model, params, args)`: the model's forward, whose output hangs on the parameters given."""
    module = argument(arguments, keywords, 0, "module")
    given = argument(arguments, keywords, 1, "parameter_and_buffer_dicts")
    inputs = argument(arguments, keywords, 2, "args")
    if module is None or not (is_module(module) or role(module) == "module"):
        return library.unknown_function(it, name, arguments, keywords, place, name)
    passed = list(inputs.items) if isinstance(inputs, Collection) else [] if inputs is None else [inputs]
    result = forward.run(it, module, passed, {}, place)
    sources = [part for part in tensors.parts([given, *passed]) if isinstance(part, Tensor)]
    for part in tensors.parts([result]):
        if isinstance(part, Tensor):
            part.roots = frozenset(root for source in sources for root in source.roots)
            part.mystery = True
    return result


def _distributed_backward(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    it.facts.frameworks.add("distributed autograd")
    return Constant(None)


def _xla_step(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if arguments:
        it.emit(OptimizerStep(place, it.frame.function, arguments[0], External(name)))
    return Constant(None)


_BASES = {"torch.optim": "torch.optim.Optimizer", "torch.optim.lr_scheduler": "torch.optim.lr_scheduler.LRScheduler"}
"""What a class is at least that is looked up in a module by a name nobody knows."""


def _context(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    kind = last_name(name)
    if arguments and isinstance(arguments[0], FunctionValue):
        it.contexts[id(arguments[0].node)] = [Context(kind, None, place)]
        return arguments[0]
    given = arguments[0] if arguments else keywords.get("mode")
    if kind in ("no_grad", "inference_mode") and isinstance(given, Constant) and given.value is False:
        return Context("enable_grad", None, place)
    if kind == "set_grad_enabled" and it.statement == place.at:
        # A plain call switches the mode for good.
        it.recording = bool(constant(given)) if isinstance(given, Constant) and not given.default else None
        it.recording_context = kind
    return Context(kind, given, place)


def _checkpoint(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    rest = {key: value for key, value in keywords.items() if key not in ("use_reentrant", "preserve_rng_state")}
    return calls.apply(it, arguments[0], arguments[1:], rest, place, "checkpoint") if arguments else it.unknown(name)


HANDLERS: dict[str, Handler] = {
    "torch.no_grad": _context, "torch.inference_mode": _context, "torch.enable_grad": _context,
    "torch.set_grad_enabled": _context, "torch.autograd.backward": _backward, "torch.autograd.grad": _grad,
    "torch.save": _save, "torch.autograd.Variable": _variable,
    "torch.distributed.autograd.backward": _distributed_backward,
    "torch_xla.core.xla_model.optimizer_step": _xla_step, "torch.utils.checkpoint.checkpoint": _checkpoint,
    "torch.func.functional_call": _functional_call, "torch.nn.utils.stateless.functional_call": _functional_call,
}  # fmt: skip
