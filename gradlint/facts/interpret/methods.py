"""Methods of values that are not local objects: what happens when they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.facts.interpret import (
    assign,
    calls,
    classes,
    containers,
    forward,
    frameworks,
    module_methods,
    modules,
    ranges,
    tensor_methods,
    tensors,
    training_methods,
    unknown_methods,
)
from gradlint.facts.interpret.method_call import Arguments, Keywords, MethodCall
from gradlint.facts.values import (
    ClassValue,
    Collection,
    Constant,
    Gradient,
    Initialiser,
    Instance,
    Layer,
    Manager,
    Mapping,
    Operation,
    Optimizer,
    Parameters,
    Place,
    Scaler,
    Scheduler,
    Snapshot,
    Steps,
    Super,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


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
    if name == "backward" and isinstance(receiver, (Constant, Collection)):
        # Code that cannot be seen has put a loss there since.
        receiver = it.unknown(hint.rpartition(".")[0], "call")
    handler = _HANDLERS.get(type(receiver))
    if handler is not None:
        made = MethodCall(receiver, name, arguments, keywords, place, hint, discarded)
        result: Value = handler(it, made)
        if isinstance(receiver, (Tensor, Unknown)):
            given = [receiver, *arguments]
            if name == "where" and hint != "torch.where" and arguments:
                given[:2] = given[1::-1]
            ranges.operation(it, name, given, result, place, keywords)
        return result
    return calls.unseen(it, arguments, keywords, place, hint)


def _collection(it: Interpreter, call: MethodCall[Value]) -> Value:
    if call.name in ("append", "extend", "add") and call.arguments:
        assign.gathered(it, call.hint.rpartition(".")[0], call.arguments[0], call.receiver, call.name, call.place)
        assign.announce(it, call.hint.rpartition(".")[0], call.arguments[0], call.place.at)
    return containers.method(it, call.receiver, call.name, call.arguments, call.keywords, call.place)


def _instance(it: Interpreter, call: MethodCall[Instance]) -> Value:
    if call.receiver.kind in ("module", "lightning"):
        return module_methods.module(it, call)
    arguments = [*call.arguments, *classes.handed_up(call.receiver)]
    return calls.unseen(it, arguments, call.keywords, call.place, call.hint, call.receiver)


def _super(it: Interpreter, call: MethodCall[Super]) -> Value:
    name = call.name
    target = call.receiver.receiver
    if name == "__init__":
        it.frame.ready = True
        if isinstance(target, Instance) and target.kind == "scheduler":
            calls.record(it, "LRScheduler.__init__", call.arguments, call.keywords, target, call.place, receiver=target)
        _fill(it, target, call.arguments)
        if isinstance(target, Instance):
            classes.hand_up(it, target, [*call.arguments, *call.keywords.values()])
        return Constant(None)
    if isinstance(target, Instance) and target.kind in ("module", "lightning"):
        if name in module_methods.MODULE and name != "forward":
            through = MethodCall(target, name, call.arguments, call.keywords, call.place)
            return module_methods.MODULE[name](it, through)
        if name == "forward":
            return forward.unseen(it, target, call.arguments, call.keywords, call.place)
    handed = classes.handed_up(target) if isinstance(target, Instance) else []
    return calls.unseen(it, [*call.arguments, *handed], call.keywords, call.place, call.hint, target)


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


def _class(it: Interpreter, call: MethodCall[ClassValue]) -> Value:
    if call.name == "apply" and modules.kind_of(call.receiver) == "function":
        # Its own forward and backward decide what it computes and what it sends back.
        result = tensors.derive(it, [*call.arguments, *call.keywords.values()], call.place)
        result.mystery = True
        result.chain = Operation("unknown", None, call.place, None)
        return result
    if call.name == "__init__":
        it.frame.ready = True
        return Constant(None)
    if call.name in ("from_pretrained", "load_from_checkpoint", "from_config"):
        instance = Instance(call.receiver, modules.kind_of(call.receiver), place=call.place, assumed=True)
        classes.initialise(it, instance, [], {"**": Unknown("config")}, call.place)
        return instance
    return calls.unseen(it, call.arguments, call.keywords, call.place, call.hint)


def _manager(it: Interpreter, call: MethodCall[Manager]) -> Value:
    return frameworks.manager_method(it, call.receiver, call.name, call.arguments, call.keywords, call.place, call.hint)


def _snapshot(it: Interpreter, call: MethodCall[Snapshot]) -> Value:
    if call.name in ("items", "values"):
        return Steps("snapshot", [call.receiver])
    return Snapshot(call.receiver.module, call.place) if call.name == "copy" else it.unknown(call.name)


def _initialiser(it: Interpreter, call: MethodCall[Initialiser]) -> Value:
    return call.receiver


_HANDLERS: dict[type, Callable[[Interpreter, MethodCall[Any]], Value]] = {
    Optimizer: training_methods.optimizer, Scheduler: training_methods.scheduler, Scaler: training_methods.scaler,
    Layer: module_methods.module, Instance: _instance, Super: _super, ClassValue: _class, Manager: _manager,
    Tensor: tensor_methods.tensor, Gradient: tensor_methods.gradient, Parameters: tensor_methods.parameter_set,
    Collection: _collection, Mapping: _collection, Constant: _collection, Steps: _collection,
    Snapshot: _snapshot, Initialiser: _initialiser, Unknown: unknown_methods.unknown,
}  # fmt: skip
