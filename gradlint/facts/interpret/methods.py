"""Methods of values that are not local objects: what happens when they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.facts import torch_names as names
from gradlint.facts.events import (
    Backward,
    ClipGrad,
    Escape,
    Freeze,
    LoadSnapshot,
    ModeSwitch,
    OptimizerStep,
    ScalerUpdate,
    SchedulerStep,
    Unscale,
    ZeroGrad,
)  # fmt: skip
from gradlint.facts.formulas import BIT
from gradlint.facts.interpret import (
    assign,
    calls,
    containers,
    distributions,
    expressions,
    forward,
    frameworks,
    initialisers,
    modules,
    precision,
    ranges,
    recurrences,
    shaping,
    tensors,
)
from gradlint.facts.roles import interesting, last_name, loss_like, role
from gradlint.facts.values import (
    Choice,
    ClassValue,
    Collection,
    Constant,
    External,
    Form,
    FunctionValue,
    Gradient,
    Initialiser,
    Instance,
    Layer,
    Loader,
    Manager,
    Mapping,
    Method,
    Optimizer,
    Parameters,
    Partial,
    Place,
    Scaler,
    Scheduler,
    Snapshot,
    Steps,
    Super,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
    merge,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

Arguments = list[Value]
Keywords = dict[str, Value]


def call(
    it: Interpreter,
    receiver: Value,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool = False,
) -> Value:
    """`receiver.name(*arguments)`."""
    handler = _HANDLERS.get(type(receiver))
    if handler is not None:
        result: Value = handler(it, receiver, name, arguments, keywords, place, hint, discarded)
        if isinstance(receiver, (Tensor, Unknown)):
            given = [receiver, *arguments]
            if name == "where" and hint != "torch.where" and arguments:
                given[:2] = given[1::-1]
            ranges.operation(it, name, given, result, place, keywords)
        return result
    return calls.unseen(it, arguments, keywords, place, hint)


def argument(arguments: Arguments, keywords: Keywords, position: int, name: str) -> Value | None:
    """The value passed for one parameter, or None."""
    if name in keywords:
        return keywords[name]
    return arguments[position] if position < len(arguments) else None


# Optimizers, schedulers, scalers


def step_optimizer(
    it: Interpreter, optimizer: Value, arguments: Arguments, keywords: Keywords, place: Place, via: Value | None = None
) -> Value:
    """`optimizer.step(closure)`: the closure runs inside, once or more."""
    closure = argument(arguments, keywords, 0, "closure")
    result: Value = Unknown("loss")
    if isinstance(closure, FunctionValue | Instance | Partial):
        result = calls.apply(it, closure, [], {}, place, "closure")
    it.emit(OptimizerStep(place, it.frame.function, optimizer, via, closure, result))
    return result


def _optimizer(
    it: Interpreter,
    receiver: Value,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if name == "step":
        return step_optimizer(it, receiver, arguments, keywords, place)
    if name in ("zero_grad", "clear_grad", "clear_gradients"):
        it.emit(ZeroGrad(place, it.frame.function, receiver))
        return Constant(None)
    if name == "backward":
        it.emit(
            Backward(
                place, it.frame.function, arguments[0] if arguments else Unknown("loss"), via=receiver, scaled=True
            )
        )
        return Constant(None)
    if name in ("clip_grad_norm", "clip_grad_norm_", "clip_master_grads", "clip_gradients"):
        limit = argument(arguments, keywords, 0, "max_norm")
        it.emit(ClipGrad(place, it.frame.function, "norm", receiver, limit, hint))
        return it.unknown("grad_norm")
    if name in (
        "state_dict",
        "load_state_dict",
        "add_param_group",
        "train",
        "eval",
        "__repr__",
        "register_step_post_hook",
    ):
        if name == "add_param_group":
            calls.record(it, "Optimizer.add_param_group", arguments, keywords, receiver, place, receiver=receiver)
        if name == "add_param_group" and isinstance(receiver, Optimizer) and arguments:
            receiver.parameters = (*receiver.parameters, *_group_parameters(arguments[0]))
        return it.unknown("state")
    if name == "synchronize":
        return Constant(None)
    it.emit(Escape(place, it.frame.function, (receiver, *[a for a in arguments if interesting(a)]), hint))
    return it.unknown(last_name(hint), "call")


def _group_parameters(group: Value) -> tuple[Value, ...]:
    if isinstance(group, Mapping) and "params" in group.items:
        return (group.items["params"],)
    return (group,)


def _scheduler(
    it: Interpreter,
    receiver: Value,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if name in ("step", "step_update", "step_batch"):
        metric = argument(arguments, keywords, 0, "metrics")
        it.emit(SchedulerStep(place, it.frame.function, receiver, metric))
    elif name in ("zero_grad",):
        it.emit(ZeroGrad(place, it.frame.function, receiver))
    return it.unknown(last_name(hint), "call")


def _scaler(
    it: Interpreter,
    receiver: Value,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    first = arguments[0] if arguments else None
    if name == "scale" and first is not None:
        scaled = tensors.derive(it, [first], place)
        scaled.loss = first.loss if isinstance(first, Tensor) else first
        scaled.attribute, scaled.owner = "scaled", receiver
        scaled.divided = isinstance(first, Tensor) and first.divided
        scaled.hint = "loss"
        return scaled
    if name == "step" and first is not None:
        it.emit(OptimizerStep(place, it.frame.function, first, receiver))
    elif name == "update":
        it.emit(ScalerUpdate(place, it.frame.function, receiver))
    elif name == "unscale_" and first is not None:
        it.emit(Unscale(place, it.frame.function, receiver, first))
    return it.unknown(last_name(hint), "call", (receiver,))


# Modules


def _module(
    it: Interpreter,
    receiver: Value,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if (
        isinstance(receiver, Layer)
        and receiver.name in ("Sequential", "ModuleList", "ModuleDict")
        and name in ("append", "extend", "insert")
    ):
        return _grow(receiver, name, arguments)
    if isinstance(receiver, Layer) and name in ("values", "items", "keys", "children"):
        return containers.view(receiver, name)
    handler = _MODULE.get(name)
    if handler is not None:
        return handler(it, receiver, name, arguments, keywords, place)
    if name == "post_init" and isinstance(receiver, Instance):
        return _post_init(it, receiver, place)
    if isinstance(receiver, Instance) and receiver.kind == "lightning":
        found = frameworks.lightning_method(it, receiver, name, arguments, keywords, place)
        if found is not None:
            return found
    if name in ("clip_grad_norm_", "clip_grad_norm"):
        limit = argument(arguments, keywords, 0, "max_norm")
        it.emit(ClipGrad(place, it.frame.function, "norm", receiver, limit, hint))
        return it.unknown("grad_norm")
    if isinstance(receiver, Layer) and not receiver.kind.startswith("torch.nn."):
        found = frameworks.engine_method(it, receiver, name, arguments, keywords, place)
        if found is not None:
            return found
        inner = tensors.parts([*arguments, *keywords.values()])
        return forward.unseen(it, receiver, list(inner), {}, place)
    return calls.unseen(it, arguments, keywords, place, hint, receiver)


def _parameters(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    return Parameters((receiver,), exhaustible=True, named=name.startswith("named_"))


def _mode(it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    training: bool | None = name == "train"
    mode = argument(arguments, keywords, 0, "mode")
    if name == "train" and mode is not None:
        training = bool(constant(mode)) if isinstance(mode, Constant) and not mode.default else None
    it.emit(ModeSwitch(place, it.frame.function, receiver, training))
    calls.record(it, f"Module.{name}", arguments, keywords, receiver, place, receiver=receiver)
    return receiver


def _zero_grad(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    it.emit(ZeroGrad(place, it.frame.function, receiver))
    return Constant(None)


def _itself(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    return receiver


def _converted(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    calls.record(it, f"Module.{name}", arguments, keywords, receiver, place, receiver=receiver)
    return _cast(it, receiver, name, arguments, keywords, place)


def _cast(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    precision.cast_module(it, receiver, name, arguments, keywords)
    return receiver


def _requires_grad(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    wanted = argument(arguments, keywords, 0, "requires_grad") or Constant(True)
    it.emit(Freeze(place, it.frame.function, receiver, tensors.switch(wanted)))
    calls.record(it, "Module.requires_grad_", arguments, keywords, receiver, place, receiver=receiver)
    return receiver


def _state_dict(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    return Snapshot(receiver, place)


def _modules(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    named = name.startswith("named_")
    if name.endswith("children"):
        found = modules.children(receiver)
    else:
        found = [("", module) for module in modules.walk(receiver)]
    items: list[Value] = [Collection("tuple", [Constant(key, default=True), m]) if named else m for key, m in found]
    if modules.complete(receiver):
        return Collection("list", items)
    any_module = merge([*(module for _, module in found), it.unknown("module", "item", (receiver,))])
    element = Collection("tuple", [it.unknown("name", "item"), any_module]) if named else any_module
    return Collection("list", items, open=True, element=element)


def _apply(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    function = argument(arguments, keywords, 0, "fn")
    calls.record(it, "Module.apply", arguments, keywords, receiver, place, receiver=receiver)
    if isinstance(function, FunctionValue):
        for module in list(modules.walk(receiver))[:128]:
            calls.enter(it, function, [module], {}, place)
        if not modules.complete(receiver):
            calls.enter(it, function, [Unknown("m", "item")], {}, place)
    return receiver


def _post_init(it: Interpreter, receiver: Instance, place: Place) -> Value:
    """What transformers' base class does at the end of a constructor: `_init_weights` on every module."""
    hit = receiver.cls.find("_init_weights")
    if hit is not None and isinstance(hit[0], FunctionValue):
        for module in list(modules.walk(receiver))[:128]:
            calls.enter(it, calls.bound(hit[0], receiver, hit[1]), [module], {}, place)
    return Constant(None)


def _add_module(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    key, module = argument(arguments, keywords, 0, "name"), argument(arguments, keywords, 1, "module")
    text = constant(key)
    label = str(text) if text is not None and text != "…" else f"?{place.at}{len(it.kept)}"
    if isinstance(receiver, Instance) and module is not None:
        it.attribute_written(receiver, label, module, place.at)
        it.journal.write(receiver.attributes, label, module)
    elif isinstance(receiver, Layer) and module is not None:
        receiver.names.append(label)
        receiver.children.append(module)
    return Constant(None)


def _register_buffer(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    key, value = argument(arguments, keywords, 0, "name"), argument(arguments, keywords, 1, "tensor")
    if isinstance(receiver, Instance) and isinstance(key, Constant) and isinstance(key.value, str):
        if name == "register_parameter" and isinstance(value, Tensor):
            value.owner, value.attribute = receiver, key.value
        stored = value if value is not None else Constant(None)
        if name == "register_buffer":
            ranges.buffer(stored)
        it.journal.write(receiver.attributes, key.value, stored)
    return Constant(None)


def _forward(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    return forward.run(it, receiver, arguments, keywords, place)


def _backward_hook(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    it.emit(ClipGrad(place, it.frame.function, "own", receiver, None, name))
    return it.unknown("handle")


def _load(it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    calls.record(it, "Module.load_state_dict", arguments, keywords, receiver, place, receiver=receiver)
    given = argument(arguments, keywords, 0, "state_dict")
    if given is not None:
        it.emit(LoadSnapshot(place, it.frame.function, receiver, given))
    return it.unknown(name, "call")


def _hook(it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """A forward hook is called with each output of the module, until it is removed."""
    function = arguments[0] if arguments else keywords.get("hook")
    removed = it.frame.node is not None and "remove" in expressions.attribute_names(it.frame.node.body)
    if isinstance(function, FunctionValue) and not removed:
        output = Tensor(frozenset((receiver,)), mystery=False, hint="output", place=place)
        it.hooked += 1
        try:
            calls.enter(it, function, [receiver, Unknown("inputs", "item"), output], {}, place)
        finally:
            it.hooked -= 1
    return it.unknown("handle")


def _nothing(
    it: Interpreter, receiver: Value, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    return it.unknown(name, "call")


def _grow(layer: Layer, name: str, arguments: Arguments) -> Value:
    if name == "extend" and arguments and isinstance(arguments[0], (Collection, Layer)):
        given = arguments[0]
        items = given.items if isinstance(given, Collection) else given.children
        layer.complete = layer.complete and not (given.open if isinstance(given, Collection) else not given.complete)
    elif name == "append" and arguments:
        items = arguments[:1]
    else:
        items = []
        layer.complete = False
    for item in items:
        layer.names.append(str(len(layer.names)))
        layer.children.append(item)
        layer.complete = layer.complete and is_module(item)
    return layer


_MODULE: dict[str, Callable[[Any, Any, str, Arguments, Keywords, Place], Value]] = {
    "parameters": _parameters, "named_parameters": _parameters, "train": _mode, "eval": _mode, "zero_grad": _zero_grad,
    "to": _converted, "cuda": _itself, "cpu": _itself, "half": _converted, "float": _cast, "double": _cast,
    "bfloat16": _cast, "type": _cast, "share_memory": _itself, "compile": _itself, "requires_grad_": _requires_grad,
    "state_dict": _state_dict, "modules": _modules, "named_modules": _modules, "children": _modules,
    "named_children": _modules, "apply": _apply, "add_module": _add_module, "register_module": _add_module,
    "register_buffer": _register_buffer, "register_parameter": _register_buffer, "forward": _forward,
    "load_state_dict": _load, "register_forward_hook": _hook, "register_forward_pre_hook": _nothing,
    "register_full_backward_hook": _backward_hook, "register_backward_hook": _backward_hook,
    "buffers": _nothing, "named_buffers": _nothing, "no_sync": _nothing,
    "get_submodule": _nothing, "__call__": _forward,
}  # fmt: skip


# Tensors


def backward(
    it: Interpreter, loss: Value, arguments: Arguments, keywords: Keywords, place: Place, via: Value | None = None
) -> Value:
    """`loss.backward(...)`."""
    surely = _scaled_whole(loss)
    scaled = surely is not None or any(
        isinstance(part, Tensor) and part.attribute == "scaled" for part in tensors.ancestry(loss).values()
    )
    if surely is not None and via is None:
        via = surely.owner
    it.emit(
        Backward(
            place, it.frame.function, loss, argument(arguments, keywords, 1, "retain_graph"),
            argument(arguments, keywords, 2, "create_graph"),
            via, scaled or via is not None, keywords.get("inputs"), argument(arguments, keywords, 0, "gradient"),
        )
    )  # fmt: skip
    return Constant(None)


def _hooked(it: Interpreter, receiver: Value, arguments: Arguments, place: Place) -> Value:
    """A hook on a gradient: what it calls is kept, when it runs is not known."""
    if arguments and isinstance(arguments[0], FunctionValue):
        with it.taped():
            calls.enter(it, arguments[0], [Gradient(receiver)], {}, place)
    return it.unknown("handle")


def _scaled_whole(loss: Value) -> Tensor | None:
    """What a scaler made of a loss, if nothing unscaled was added to it since."""
    current: Value | None = loss
    while isinstance(current, Tensor) and current.attribute != "scaled":
        sources = [part for part in current.sources if isinstance(part, Tensor)]
        current = sources[0] if len(sources) == 1 else None
    return current if isinstance(current, Tensor) else None


def _tensor(
    it: Interpreter,
    receiver: Tensor,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if name == "backward":
        return backward(it, receiver, arguments, keywords, place)
    drawn = distributions.method(it, receiver, name, arguments, keywords, place)
    if drawn is not None:
        return drawn
    if name in names.CUTTING_METHODS:
        calls.record(it, f"Tensor.{name}", arguments, keywords, receiver, place, discarded, receiver)
        found = tensors.cut(it, receiver, names.CUTTING_METHODS[name], place)
        if name == "detach_" and isinstance(found, Tensor):
            receiver.roots, receiver.mystery, receiver.cuts, receiver.sources = found.roots, False, found.cuts, ()
        return found
    stored = receiver.parameter or (receiver.owner is not None and any(cut.kind == "data" for cut in receiver.cuts))
    if stored and name.endswith("_") and initialisers.in_place(it, receiver, name, arguments, keywords, place):
        return receiver
    if name.endswith("_") and not name.startswith("_") and name not in ("requires_grad_", "detach_"):
        tensors.changed_in_place(it, receiver, f".{name}()", place)
    if name == "register_hook":
        it.emit(ClipGrad(place, it.frame.function, "own", receiver.owner or receiver, None, name))
        return _hooked(it, receiver, arguments, place)
    if name == "requires_grad_":
        tensors.require_grad(it, receiver, argument(arguments, keywords, 0, "requires_grad") or Constant(True), place)
    if name in ("requires_grad_", "retain_grad"):
        return receiver
    if name in ("nan_to_num", "nan_to_num_"):
        calls.record(it, f"Tensor.{name}", arguments, keywords, receiver, place, discarded, receiver)
    if name in ("clone",):
        return tensors.derive(it, [receiver], place, keep_form=True)
    if name in names.SHAPING:
        if receiver.parameter and name in ("to", "cuda", "half", "double") and not _stays(arguments, keywords):
            moved = tensors.derive(it, [receiver], place)
            moved.owner, moved.attribute = receiver, "moved"
            return moved
        reshaped = tensors.derive(it, [receiver], place, keep_form=True)
        if name in _PARTS:
            ranges.item(receiver, reshaped)
        if name == "gather":
            calls.record(it, "Tensor.gather", arguments, keywords, reshaped, place, discarded, receiver)
        precision.converted(it, receiver, reshaped, name, arguments, keywords)
        return recurrences.shaped(it, receiver, reshaped, name, arguments)
    if name in ("scatter", "scatter_") and receiver.made is not None:
        return _scattered(it, receiver, name, arguments, keywords, place)
    if name in names.FUNCTIONAL_ACTIVATIONS:
        dim = argument(arguments, keywords, 0, "dim") if "softmax" in name else None
        how = Layer(f"torch.nn.functional.{name}", arguments, keywords, place)
        return tensors.activation(it, name.rstrip("_"), receiver, place, dim, how)
    if name in names.NON_DIFFERENTIABLE:
        result = tensors.cut(it, receiver, f"non-differentiable {name}", place)
        if isinstance(result, Tensor):
            result.form = None
        return result
    if name == "dim" and isinstance(receiver.owner, Layer):
        known = dict(modules.parameters(receiver.owner)).get(receiver.attribute)
        return Constant(known) if known is not None else Unknown(name)
    if name in ("size", "dim", "numel", "stride", "get_device", "is_contiguous", "element_size", "data_ptr"):
        return Unknown(name, dtype=precision.NUMBER)
    if name == "apply_" or name.startswith("__"):
        return receiver
    if name in ("div", "div_", "true_divide", "mul", "mul_", "add", "sub", "add_", "sub_", "matmul", "mm", "bmm"):
        op = {"d": "/", "t": "/", "a": "+", "s": "-"}.get(name[0], "*" if name.startswith("mul") else "@")
        return tensors.combine(it, op, receiver, arguments[0] if arguments else Unknown(), place)
    result = tensors.derive(it, [receiver, *arguments, *keywords.values()], place)
    if name == "exp":
        result.form = Form("exp", place)
    elif name == "log_prob":
        result.attribute = "log_prob"
    if name in names.REDUCTIONS:
        result.loss = receiver.loss
        pairwise = bool(arguments) and isinstance(arguments[0], Tensor)
        if name in ("max", "min") and (arguments or keywords) and not pairwise:
            return Collection("tuple", [result, tensors.cut(it, result, f"non-differentiable {name} indices", place)])
        if name == "mean":
            result.divided = True
        if name in ("mean", "sum"):
            result.cuts = (*result.cuts, *(cut for cut in receiver.cuts if cut.kind.startswith("added ")))
    elif name in ("topk", "sort"):
        return Collection("tuple", [result, tensors.cut(it, result, f"non-differentiable {name} indices", place)])
    elif name in ("split", "chunk", "unbind", "tensor_split"):
        return result
    else:
        result.chain = None
    return result


_PARTS = frozenset({"select", "narrow", "index_select", "unbind", "chunk", "split"})
"""Reshaping that leaves entries out."""


def _stays(arguments: Arguments, keywords: Keywords) -> bool:
    """Whether `.to(…)` moves nothing: parameters are made on the CPU in single precision."""
    targets = [*arguments, *keywords.values()]
    same = [
        constant(t) == "cpu" or (isinstance(t, External) and t.name in ("torch.float32", "torch.float"))
        for t in targets
    ]
    return bool(targets) and all(same)


def _scattered(
    it: Interpreter, receiver: Tensor, name: str, arguments: Arguments, keywords: Keywords, place: Place
) -> Tensor:
    """`zeros.scatter_(1, labels, 1.0)` is one-hot."""
    result = tensors.derive(it, [receiver, *arguments], place)
    how = receiver.made["weight"] if receiver.made is not None else None
    value = argument(arguments, keywords, 2, "value") or keywords.get("src")
    if isinstance(how, Initialiser) and how.kind == "zeros" and constant(value) in (1, 1.0):
        ranges.leaf(result, BIT, "one_hot")
        if name.endswith("_"):
            receiver.formula = result.formula
    return result


def _gradient(
    it: Interpreter,
    receiver: Gradient,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    from gradlint.facts.interpret.assign import gradient_owner

    owner = gradient_owner(receiver.owner)
    if name in ("zero_", "detach_") or (
        name in ("fill_", "mul_", "copy_") and arguments and constant(arguments[0]) in (0, 0.0)
    ):
        if name != "detach_":
            it.emit(ZeroGrad(place, it.frame.function, owner, in_place=True))
        return receiver
    if name in ("clamp_", "clip_"):
        limit = argument(arguments, keywords, 1, "max") or argument(arguments, keywords, 0, "min")
        it.emit(ClipGrad(place, it.frame.function, "value", owner, limit, hint))
        return receiver
    if name == "nan_to_num_":
        calls.record(it, f"Gradient.{name}", arguments, keywords, receiver, place, discarded, receiver)
    if name.endswith("_"):
        it.grad_edited(owner, place.at, name in ("copy_", "fill_", "set_"))
        return receiver
    calls.record(it, f"Gradient.{name}", arguments, keywords, receiver, place, discarded, receiver)
    return receiver


def _parameter_set(
    it: Interpreter,
    receiver: Parameters,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if receiver.named and name == "items":
        return receiver
    if receiver.named and name == "values":
        return Parameters(receiver.owners, receiver.whole, filtered=receiver.filtered)
    given = arguments[0] if len(arguments) == 1 else None
    if name in ("extend", "append") and given is not None:
        own = isinstance(given, Parameters)
        receiver.owners = (*receiver.owners, *(given.owners if isinstance(given, Parameters) else (given,)))
        receiver.whole = receiver.whole and own and (not isinstance(given, Parameters) or given.whole)
        return Constant(None)
    return it.unknown(name, "call", receiver.owners)


# Unknown receivers


def _unknown(
    it: Interpreter,
    receiver: Unknown,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    found = frameworks.unknown_method(it, receiver, name, arguments, keywords, place, hint)
    if found is not None:
        return found
    kind = role(receiver)
    if name == "backward":
        return _unknown_backward(it, receiver, arguments, keywords, place)
    if name == "zero_grad":
        it.emit(ZeroGrad(place, it.frame.function, receiver))
        return Constant(None)
    if kind == "optimizer" and (name != "step" or not isinstance(arguments[0] if arguments else None, (Tensor,))):
        return _optimizer(it, receiver, name, arguments, keywords, place, hint, discarded)
    if kind == "scheduler":
        return _scheduler(it, receiver, name, arguments, keywords, place, hint, discarded)
    if kind == "scaler":
        return _scaler(it, receiver, name, arguments, keywords, place, hint, discarded)
    if kind in ("module", "manager") and name in _MODULE and name not in ("forward", "type", "compile", "float"):
        if name in ("train", "eval") and arguments and not isinstance(arguments[0], (Constant, Unknown)):
            return calls.unseen(it, arguments, keywords, place, hint, receiver)
        return _MODULE[name](it, receiver, name, arguments, keywords, place)
    if name in ("parameters", "named_parameters") and not arguments:
        # Whatever has parameters is a module from here on, also where it is called.
        receiver.uses = receiver.uses | {name}
    if name == "requires_grad_" and kind != "tensor":
        return _requires_grad(it, receiver, name, arguments, keywords, place)
    if name == "register_forward_hook":
        return _hook(it, receiver, name, arguments, keywords, place)
    if name in ("parameters", "named_parameters", "state_dict") and not arguments:
        return _MODULE[name](it, receiver, name, arguments, keywords, place)
    if kind == "module" and name in ("forward", "__call__"):
        return forward.run(it, receiver, arguments, keywords, place)
    if name in ("register_hook", "register_full_backward_hook"):
        it.emit(ClipGrad(place, it.frame.function, "own", receiver, None, name))
        return it.unknown("handle")
    if name in names.CUTTING_METHODS:
        return tensors.cut(it, receiver, names.CUTTING_METHODS[name], place)
    if name == "requires_grad_" and not kind:
        wanted = argument(arguments, keywords, 0, "requires_grad") or Constant(True)
        it.emit(Freeze(place, it.frame.function, receiver, tensors.switch(wanted)))
    if (
        name in names.SHAPING
        or name in ("requires_grad_", "clone")
        or (name in names.REDUCTIONS and loss_like(receiver))
    ):
        shaped = recurrences.shaped(it, receiver, shaping.apart(it, receiver, name), name, arguments)
        return precision.converted(it, receiver, shaped, name, arguments, keywords)
    if name in names.FUNCTIONAL_ACTIVATIONS:
        return tensors.activation(it, name.rstrip("_"), receiver, place, argument(arguments, keywords, 0, "dim"))
    if name in ("append", "extend") and arguments:
        _accumulated(it, hint.rpartition(".")[0], arguments[0], receiver, name, place)
    if name in ("items", "values", "keys"):
        return Unknown(receiver.hint, receiver.origin, touched=receiver.touched)
    if name in ("get", "pop") and arguments and isinstance(arguments[0], Constant):
        from gradlint.facts.interpret.attributes import part

        return part(it, receiver, f"[{arguments[0].value!r}]", f"{receiver.hint}[{arguments[0].value!r}]")
    if kind == "module" and not calls_quietly(name):
        inside = [*arguments, *keywords.values()]
        if name not in ("save_pretrained", "save", "log", "generate"):
            return forward.unseen(it, receiver, inside, {}, place)
    held = tuple(part for part in receiver.touched if role(part) in ("optimizer", "scheduler", "scaler"))
    if held:
        # Whoever was given an optimizer may step or clear it in any of its methods.
        it.emit(Escape(place, it.frame.function, held, hint))
    return calls.unseen(it, arguments, keywords, place, hint, receiver if kind else None)


_QUIET = (
    "log",
    "print",
    "save",
    "load",
    "plot",
    "eval",
    "valid",
    "test",
    "info",
    "write",
    "add_",
    "record",
    "report",
    "show",
    "close",
    "reset",
)


def calls_quietly(name: str) -> bool:
    """Whether a method is named like one that only looks."""
    return name.lstrip("_").startswith(_QUIET)


def _unknown_backward(
    it: Interpreter, receiver: Unknown, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    first = arguments[0] if arguments else None
    manages = role(receiver) in ("manager", "optimizer", "module", "scaler") or last_name(receiver.hint) in (
        "self",
        "trainer",
    )
    if first is not None and (manages or (isinstance(first, Tensor) and first.loss is not None) or loss_like(first)):
        it.emit(Backward(place, it.frame.function, first, via=receiver, scaled=True))
        return Constant(None)
    return backward(it, receiver, arguments, keywords, place)


def _accumulated(it: Interpreter, name: str, value: Value, target: Value, how: str, place: Place) -> None:
    if isinstance(value, Tensor) and value.roots and (it.repeats or it.forwards or it.hooked):
        assign.accumulate(it, name, value, target, how, place)


# Containers and the rest


def _collection(
    it: Interpreter,
    receiver: Value,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if name in ("append", "extend", "add") and arguments:
        _accumulated(it, hint.rpartition(".")[0], arguments[0], receiver, name, place)
        assign.announce(it, hint.rpartition(".")[0], arguments[0], place.at)
    return containers.method(it, receiver, name, arguments, keywords, place)


def _instance(
    it: Interpreter,
    receiver: Instance,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if receiver.kind in ("module", "lightning"):
        return _module(it, receiver, name, arguments, keywords, place, hint, discarded)
    return calls.unseen(it, arguments, keywords, place, hint, receiver)


def _super(
    it: Interpreter,
    receiver: Super,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    target = receiver.receiver
    if name == "__init__":
        it.frame.ready = True
        if isinstance(target, Instance) and target.kind == "scheduler":
            calls.record(it, "LRScheduler.__init__", arguments, keywords, target, place, receiver=target)
        _fill(it, target, arguments)
        return Constant(None)
    if isinstance(target, Instance) and target.kind in ("module", "lightning"):
        if name in _MODULE and name != "forward":
            return _MODULE[name](it, target, name, arguments, keywords, place)
        if name == "forward":
            return forward.unseen(it, target, arguments, keywords, place)
    return calls.unseen(it, arguments, keywords, place, hint, target)


def _fill(it: Interpreter, target: Value, arguments: Arguments) -> None:
    """`super().__init__(layer, layer)` in a subclass of a container registers its arguments."""
    if not isinstance(target, Instance):
        return
    names_of = target.cls.externals()
    if "torch.nn.Sequential" in names_of or "torch.nn.ModuleList" in names_of:
        filled = Layer(
            "torch.nn.Sequential" if "torch.nn.Sequential" in names_of else "torch.nn.ModuleList",
            arguments,
            {},
            target.place,
        )
        modules.container(filled)
        for key, child in modules.children(filled):
            it.journal.write(target.attributes, key, child)


def _class(
    it: Interpreter,
    receiver: ClassValue,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if name == "apply" and modules.kind_of(receiver) == "function":
        result = tensors.derive(it, [*arguments, *keywords.values()], place)
        result.mystery = True
        return result
    if name == "__init__":
        it.frame.ready = True
        return Constant(None)
    if name in ("from_pretrained", "load_from_checkpoint", "from_config"):
        instance = Instance(receiver, modules.kind_of(receiver), place=place, assumed=True)
        calls.initialise(it, instance, [], {"**": Unknown("config")}, place)
        return instance
    return calls.unseen(it, arguments, keywords, place, hint)


def _manager(
    it: Interpreter,
    receiver: Manager,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    return frameworks.manager_method(it, receiver, name, arguments, keywords, place, hint)


def _snapshot(
    it: Interpreter,
    receiver: Snapshot,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if name in ("items", "values"):
        return Steps("snapshot", [receiver])
    return Snapshot(receiver.module, place) if name == "copy" else it.unknown(name)


def _initialiser(
    it: Interpreter,
    receiver: Initialiser,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    return receiver


_HANDLERS: dict[type, Callable[..., Value]] = {
    Optimizer: _optimizer, Scheduler: _scheduler, Scaler: _scaler, Layer: _module, Instance: _instance, Tensor: _tensor,
    Gradient: _gradient, Parameters: _parameter_set, Unknown: _unknown, Collection: _collection, Mapping: _collection,
    Constant: _collection, Steps: _collection, Super: _super, ClassValue: _class, Manager: _manager,
    Snapshot: _snapshot, Initialiser: _initialiser,
}  # fmt: skip

__all__ = ["Choice", "External", "Loader", "Method", "backward", "call", "step_optimizer"]
