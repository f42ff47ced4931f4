"""Local classes: defining them, and building instances by their `__init__` or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.code import Expr
from gradlint.facts.events import Escape
from gradlint.facts.interpret import (
    calls,
    expressions,
    functions,
    modules,
    tensors,
    writing,
)
from gradlint.facts.interpret.frame import Frame
from gradlint.facts.roles import interesting, last_name
from gradlint.facts.scope import Scope
from gradlint.facts.values import (
    ClassValue,
    Collection,
    Constant,
    FunctionValue,
    Instance,
    Optimizer,
    Place,
    Tensor,
    Unknown,
    Value,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def is_record(cls: ClassValue) -> bool:
    """Whether a class is a dataclass whose fields all have defaults."""
    names = {last_name(writing.text_of(d.func if isinstance(d, code.Call) else d)) for d in cls.node.decorators}
    return "dataclass" in names and not any(
        isinstance(v, Unknown) and v.origin == "field" for v in cls.attributes.values()
    )


def example_of(it: Interpreter, cls: ClassValue) -> Instance:
    """An instance as it would be built with the defaults of its class."""
    instance = Instance(cls, modules.kind_of(cls), place=Place(cls.scope.path, cls.node.at), assumed=True)
    hit = cls.find("__init__")
    keywords: dict[str, Value] = {}
    it.quiet += 1
    outer, it.forwards = it.forwards, []
    try:
        with it.taped():
            if hit is not None and isinstance(hit[0], FunctionValue):
                init = hit[0]
                keywords = {p.name: functions.assumed(it, p, init) for p in init.node.parameters[1:] if not p.star}
            initialise(it, instance, [], keywords, it.place(None))
    finally:
        it.quiet -= 1
        it.forwards = outer
    return instance


# Local classes


def define_class(it: Interpreter, node: code.Class) -> None:
    """`class`: run its body for its attributes."""
    bases = tuple(expressions.evaluate(it, base) for base in node.bases)
    scope = Scope(it.scope.path, "class", it.scope)
    cls = ClassValue(node, it.scope, bases, scope.names)
    for decorator in node.decorators:
        expressions.evaluate(it, decorator)
    it.frames.append(Frame(scope, node.name, node, None, cls))
    try:
        with it.taped():
            it.block(node.body)
    finally:
        it.frames.pop()
    it.write(node.name, cls)
    it.project.classes.append(cls)


def construct(
    it: Interpreter, cls: ClassValue, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    """`Class(...)`: an instance, its `__init__` run."""
    if not cls.node.body and ("**" in keywords or any(isinstance(v, Collection) and v.open for v in arguments)):
        # `Transition(*zip(*batch))`: which field gets what nobody sees.
        return calls.unseen(it, arguments, keywords, place, cls.name)
    kind = modules.kind_of(cls)
    instance = Instance(cls, kind, place=place)
    it.journal.born(instance.attributes)
    it.made(instance)
    if it.forwards:
        it.inside.add(id(instance))
        it.kept.append(instance)
    if kind == "optimizer":
        return _local_optimizer(it, instance, arguments, keywords, place)
    if kind in ("module", "lightning"):
        calls.record(it, f"{cls.scope.path}:{cls.name}", arguments, keywords, instance, place)
    if kind == "lightning":
        it.given.setdefault(id(cls), []).append((arguments, keywords))
    # A branch that led to the constructor says nothing of what the constructor does.
    outer, it.branches = it.branches, 0
    initialise(it, instance, arguments, keywords, place)
    it.branches = outer
    if kind in ("module", "lightning") and cls.scope.path == it.facts.path and it.once("instance", place, id(cls)):
        it.built.append(instance)
    if cls.opaque and any(interesting(value) for value in (*arguments, *keywords.values())):
        it.emit(
            Escape(
                place, it.frame.function, tuple(v for v in (*arguments, *keywords.values()) if interesting(v)), cls.name
            )
        )
    return instance


def _local_optimizer(
    it: Interpreter, instance: Instance, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    """An optimizer class of the project: stepped and cleared like torch's."""
    from gradlint.facts.interpret import training_functions

    name = f"{instance.cls.scope.path}:{instance.name}"
    wrapped = next((v for v in (*arguments, *keywords.values()) if isinstance(v, Optimizer)), None)
    if wrapped is not None:
        arguments, keywords = [wrapped], {key: v for key, v in keywords.items() if v is not wrapped}
    found = training_functions.optimizer(it, name, arguments, keywords, place, known=False)
    hit = instance.cls.find("step")
    if hit is not None and isinstance(hit[0], FunctionValue):
        found.closure = any(p.name == "closure" and p.default is None and not p.star for p in hit[0].node.parameters)
    found.orderly = _orderly(instance.cls)
    return found


_CLEARING = frozenset({"zero_grad", "zero_", "backward", "set_to_none"})


def _orderly(cls: ClassValue) -> bool:
    """Whether all code of an optimizer class but its `zero_grad` leaves the gradients as they are."""
    if cls.opaque or (
        cls.find("step") is None and not any(n.rpartition(".")[2] != "Optimizer" for n in cls.externals())
    ):
        return False
    for base in cls.lineage():
        members = base.attributes.items() if isinstance(base, ClassValue) else ()
        for name, member in members:
            if name == "zero_grad" or not isinstance(member, FunctionValue):
                continue
            if _CLEARING & writing.attribute_names(member.node) or _sets_gradient(member):
                return False
    return True


def _sets_gradient(function: FunctionValue) -> bool:
    return any(
        isinstance(target, code.Attribute) and target.name == "grad"
        for node in code.walk(function.node)
        if isinstance(node, code.Assign)
        for target in node.targets
    )


def initialise(
    it: Interpreter, instance: Instance, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> None:
    """Run `__init__`, or bind the fields of a dataclass."""
    hit = instance.cls.find("__init__")
    if hit is not None and isinstance(hit[0], FunctionValue):
        functions.enter(it, FunctionValue(hit[0].node, hit[0].scope, instance, hit[1]), arguments, keywords, place)
        return
    hand_up(it, instance, [*arguments, *keywords.values()])
    fields = [name for name, value in instance.cls.attributes.items() if not isinstance(value, FunctionValue)]
    for name in fields:
        value = instance.cls.attributes[name]
        if isinstance(value, Constant):
            instance.attributes[name] = Constant(value.value, default=True, place=value.place)
    for name, value in zip(fields, arguments, strict=False):
        instance.attributes[name] = value
    for name, value in keywords.items():
        if name != "**":
            instance.attributes[name] = value


_HANDED_UP = "(…)"
"""The attribute under which an object keeps what an unseen base class was built with."""


def hand_up(it: Interpreter, instance: Instance, arguments: list[Value]) -> None:
    """What a base class that nobody sees is given: what its methods return may be computed of it."""
    if instance.kind == "object" and instance.cls.externals():
        it.journal.write(instance.attributes, _HANDED_UP, Collection("tuple", arguments))


def handed_up(instance: Instance) -> list[Value]:
    """The tensors among what an unseen base class was built with."""
    return [part for part in tensors.parts([instance.attributes.get(_HANDED_UP)]) if isinstance(part, Tensor)]


def discover(it: Interpreter, instance: Instance, name: str) -> bool:
    """Run the method that sets `self.name`, out of sight, if only that method does."""
    for base in instance.cls.lineage():
        if not isinstance(base, ClassValue):
            continue
        for member in base.attributes.values():
            if not isinstance(member, FunctionValue) or not _sets(member, name):
                continue
            if any(frame.node is member.node for frame in it.frames):
                continue
            instance.pending.add(name)
            it.quiet += 1
            outer, it.forwards = it.forwards, []
            try:
                with it.taped():
                    function = FunctionValue(member.node, member.scope, instance, base)
                    parameters = [
                        functions.assumed(it, p, function)
                        for p in member.node.parameters[1:]
                        if not p.star and not p.keyword_only
                    ]
                    functions.enter(it, function, parameters, {}, it.place(None))
            finally:
                it.quiet -= 1
                it.forwards = outer
                instance.pending.discard(name)
            if name in instance.attributes:
                return True
    return False


def _sets(function: FunctionValue, name: str) -> bool:
    node = function.node
    if isinstance(node, code.Lambda) or not node.parameters:
        return False
    receiver = node.parameters[0].name
    stack: list[object] = list(node.body)
    while stack:
        part = stack.pop()
        if isinstance(part, (list, tuple)):
            stack.extend(part)
        elif (isinstance(part, code.Assign) and any(_is_attribute(t, receiver, name) for t in part.targets)) or (
            isinstance(part, code.Annotated) and _is_attribute(part.target, receiver, name)
        ):
            return True
        elif isinstance(part, (code.If, code.For, code.While, code.With)):
            stack.append(part.body)
            stack.append(getattr(part, "orelse", []))
        elif isinstance(part, code.Try):
            stack.extend((part.body, part.handlers, part.orelse, part.final))
    return False


def _is_attribute(target: Expr, receiver: str, name: str) -> bool:
    if isinstance(target, code.Sequence):
        return any(_is_attribute(item, receiver, name) for item in target.items)
    return (
        isinstance(target, code.Attribute)
        and target.name == name
        and isinstance(target.base, code.Name)
        and target.base.name == receiver
    )
