"""Methods of modules: what nn.Module gives every layer and model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.facts.events import ClipGrad, Freeze, LoadSnapshot, ModeSwitch, ZeroGrad
from gradlint.facts.interpret import (
    calls,
    containers,
    forward,
    frameworks,
    functions,
    modules,
    precision,
    ranges,
    tensors,
    writing,
)
from gradlint.facts.interpret.method_call import Arguments, MethodCall
from gradlint.facts.merging import merge
from gradlint.facts.values import (
    Collection,
    Constant,
    FunctionValue,
    Instance,
    Layer,
    Parameters,
    Place,
    Snapshot,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def module(it: Interpreter, call: MethodCall[Value]) -> Value:
    """A method of a layer or model."""
    receiver, name, arguments, place = call.receiver, call.name, call.arguments, call.place
    if (
        isinstance(receiver, Layer)
        and receiver.name in ("Sequential", "ModuleList", "ModuleDict")
        and name in ("append", "extend", "insert")
    ):
        return _grow(receiver, name, arguments)
    if isinstance(receiver, Layer) and name in ("values", "items", "keys", "children"):
        return containers.view(receiver, name)
    handler = MODULE.get(name)
    if handler is not None:
        return handler(it, call)
    if name == "post_init" and isinstance(receiver, Instance):
        return _post_init(it, receiver, place)
    if isinstance(receiver, Instance) and receiver.kind == "lightning":
        found = frameworks.lightning_method(it, receiver, name, arguments, call.keywords, place)
        if found is not None:
            return found
    if name in ("clip_grad_norm_", "clip_grad_norm"):
        limit = call.argument(0, "max_norm")
        it.emit(ClipGrad(place, it.frame.function, "norm", receiver, limit, call.hint))
        return it.unknown("grad_norm")
    if name == "update_parameters" and isinstance(receiver, Layer) and receiver.name == "AveragedModel":
        return Constant(None)
    if isinstance(receiver, Layer) and not receiver.kind.startswith("torch.nn."):
        found = frameworks.engine_method(it, receiver, name, arguments, call.keywords, place)
        if found is not None:
            return found
        inner = tensors.parts([*arguments, *call.keywords.values()])
        return forward.unseen(it, receiver, list(inner), {}, place)
    return calls.unseen(it, arguments, call.keywords, place, call.hint, receiver)


def _parameters(it: Interpreter, call: MethodCall[Value]) -> Value:
    return Parameters((call.receiver,), exhaustible=True, named=call.name.startswith("named_"))


def _record(it: Interpreter, call: MethodCall[Value], name: str) -> None:
    calls.record(it, name, call.arguments, call.keywords, call.receiver, call.place, receiver=call.receiver)


def _mode(it: Interpreter, call: MethodCall[Value]) -> Value:
    training: bool | None = call.name == "train"
    mode = call.argument(0, "mode")
    if call.name == "train" and mode is not None:
        training = bool(constant(mode)) if isinstance(mode, Constant) and not mode.default else None
    it.emit(ModeSwitch(call.place, it.frame.function, call.receiver, training))
    _record(it, call, f"Module.{call.name}")
    return call.receiver


def _zero_grad(it: Interpreter, call: MethodCall[Value]) -> Value:
    it.emit(ZeroGrad(call.place, it.frame.function, call.receiver))
    return Constant(None)


def _itself(it: Interpreter, call: MethodCall[Value]) -> Value:
    return call.receiver


def _converted(it: Interpreter, call: MethodCall[Value]) -> Value:
    _record(it, call, f"Module.{call.name}")
    return _cast(it, call)


def _cast(it: Interpreter, call: MethodCall[Value]) -> Value:
    precision.cast_module(it, call.receiver, call.name, call.arguments, call.keywords)
    return call.receiver


def requires_grad(it: Interpreter, call: MethodCall[Value]) -> Value:
    """`module.requires_grad_(flag)`."""
    wanted = call.argument(0, "requires_grad") or Constant(True)
    it.emit(Freeze(call.place, it.frame.function, call.receiver, tensors.switch(wanted)))
    _record(it, call, "Module.requires_grad_")
    return call.receiver


def _state_dict(it: Interpreter, call: MethodCall[Value]) -> Value:
    return Snapshot(call.receiver, call.place)


def _modules(it: Interpreter, call: MethodCall[Value]) -> Value:
    named = call.name.startswith("named_")
    if call.name.endswith("children"):
        found = modules.children(call.receiver)
    else:
        found = [("", module) for module in modules.walk(call.receiver)]
    items: list[Value] = [Collection("tuple", [Constant(key, default=True), m]) if named else m for key, m in found]
    if modules.complete(call.receiver):
        return Collection("list", items)
    any_module = merge([*(module for _, module in found), it.unknown("module", "item", (call.receiver,))])
    element = Collection("tuple", [it.unknown("name", "item"), any_module]) if named else any_module
    return Collection("list", items, open=True, element=element)


def _apply(it: Interpreter, call: MethodCall[Value]) -> Value:
    function = call.argument(0, "fn")
    _record(it, call, "Module.apply")
    if isinstance(function, FunctionValue):
        for module in list(modules.walk(call.receiver))[:128]:
            functions.enter(it, function, [module], {}, call.place)
        if not modules.complete(call.receiver):
            functions.enter(it, function, [Unknown("m", "item")], {}, call.place)
    return call.receiver


def _post_init(it: Interpreter, receiver: Instance, place: Place) -> Value:
    """What transformers' base class does at the end of a constructor: `_init_weights` on every module."""
    hit = receiver.cls.find("_init_weights")
    if hit is not None and isinstance(hit[0], FunctionValue):
        for module in list(modules.walk(receiver))[:128]:
            functions.enter(it, functions.bound(hit[0], receiver, hit[1]), [module], {}, place)
    return Constant(None)


def _add_module(it: Interpreter, call: MethodCall[Value]) -> Value:
    key, module = call.argument(0, "name"), call.argument(1, "module")
    text = constant(key)
    label = str(text) if text is not None and text != "…" else f"?{call.place.at}{len(it.kept)}"
    if isinstance(call.receiver, Instance) and module is not None:
        it.attribute_written(call.receiver, label, module, call.place.at)
        it.journal.write(call.receiver.attributes, label, module)
    elif isinstance(call.receiver, Layer) and module is not None:
        call.receiver.names.append(label)
        call.receiver.children.append(module)
    return Constant(None)


def _register_buffer(it: Interpreter, call: MethodCall[Value]) -> Value:
    key, value = call.argument(0, "name"), call.argument(1, "tensor")
    if isinstance(call.receiver, Instance) and isinstance(key, Constant) and isinstance(key.value, str):
        if call.name == "register_parameter" and isinstance(value, Tensor):
            value.owner, value.attribute = call.receiver, key.value
        stored = value if value is not None else Constant(None)
        if call.name == "register_buffer":
            ranges.buffer(stored)
        it.journal.write(call.receiver.attributes, key.value, stored)
    return Constant(None)


def _forward(it: Interpreter, call: MethodCall[Value]) -> Value:
    return forward.run(it, call.receiver, call.arguments, call.keywords, call.place)


def _backward_hook(it: Interpreter, call: MethodCall[Value]) -> Value:
    it.emit(ClipGrad(call.place, it.frame.function, "own", call.receiver, None, call.name))
    return it.unknown("handle")


def _load(it: Interpreter, call: MethodCall[Value]) -> Value:
    _record(it, call, "Module.load_state_dict")
    given = call.argument(0, "state_dict")
    if given is not None:
        it.emit(LoadSnapshot(call.place, it.frame.function, call.receiver, given))
    return it.unknown(call.name, "call")


def forward_hook(it: Interpreter, call: MethodCall[Value]) -> Value:
    """A forward hook is called with each output of the module, until it is removed."""
    function = call.arguments[0] if call.arguments else call.keywords.get("hook")
    removed = it.frame.node is not None and "remove" in writing.attribute_names(it.frame.node.body)
    if isinstance(function, FunctionValue) and not removed:
        output = Tensor(frozenset((call.receiver,)), mystery=False, hint="output", place=call.place)
        it.hooked += 1
        try:
            functions.enter(it, function, [call.receiver, Unknown("inputs", "item"), output], {}, call.place)
        finally:
            it.hooked -= 1
    return it.unknown("handle")


def _nothing(it: Interpreter, call: MethodCall[Value]) -> Value:
    return it.unknown(call.name, "call")


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


MODULE: dict[str, Callable[[Interpreter, MethodCall[Any]], Value]] = {
    "parameters": _parameters, "named_parameters": _parameters, "train": _mode, "eval": _mode, "zero_grad": _zero_grad,
    "to": _converted, "cuda": _itself, "cpu": _itself, "half": _converted, "float": _cast, "double": _cast,
    "bfloat16": _cast, "type": _cast, "share_memory": _itself, "compile": _itself, "requires_grad_": requires_grad,
    "state_dict": _state_dict, "modules": _modules, "named_modules": _modules, "children": _modules,
    "named_children": _modules, "apply": _apply, "add_module": _add_module, "register_module": _add_module,
    "register_buffer": _register_buffer, "register_parameter": _register_buffer, "forward": _forward,
    "load_state_dict": _load, "register_forward_hook": forward_hook, "register_forward_pre_hook": _nothing,
    "register_full_backward_hook": _backward_hook, "register_backward_hook": _backward_hook,
    "buffers": _nothing, "named_buffers": _nothing, "no_sync": _nothing,
    "get_submodule": _nothing, "__call__": _forward,
}  # fmt: skip
