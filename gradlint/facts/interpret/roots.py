"""Ways into a file: the script itself, then every module class, and every function or method nobody visibly calls."""

from __future__ import annotations

from typing import Any

from gradlint.facts import code
from gradlint.facts.events import Repeat, Run
from gradlint.facts.interpret import classes, forward, functions, initialisers, modules, writing
from gradlint.facts.interpret.frame import Frame
from gradlint.facts.interpret.interpreter import Interpreter
from gradlint.facts.model import FunctionFact, ModuleDef, Stack
from gradlint.facts.roles import last_name
from gradlint.facts.scope import Scope
from gradlint.facts.values import ClassValue, Constant, External, FunctionValue, Instance, Place, Tensor, Unknown, Value

Imports = list[code.Import | code.ImportFrom]

_FRAMEWORK_LOOPS = frozenset({"training_step"})
"""Methods that a framework calls once a batch."""


_BATCH_LOOPS = ("ignite.engine.Engine", "ignite.engine.engine.Engine")
"""Callees that call the function they are given once a batch."""


def run_all(it: Interpreter, program: code.Program, scope: Scope) -> None:
    """Run a linted file in every way there is into it; a file of another framework is none of ours."""
    statements = [(statement, list(code.walk(statement))) for statement in program.body]
    nodes = [node for _, below in statements for node in below]
    imports = [node for node in nodes if isinstance(node, (code.Import, code.ImportFrom))]
    if _of_another_framework(imports):
        return
    it.facts.nodes = nodes
    it.facts.program = program.body
    frame = Frame(scope, "<module>")
    it.frames.append(frame)
    _run(it, Run("<module>", program.path), lambda: it.block(program.body))
    mentioned = it.mentions = _mentions(statements, imports, scope)
    it.facts.mentions = frozenset(writing.names_read(nodes))
    it.facts.uses = writing.uses_by_name(nodes)
    if not it.trains():
        it.save_steps()
    classes = [cls for cls in it.project.classes if cls.scope.path == program.path]
    for cls in classes:
        _class(it, cls)
    defined = [v for v in scope.names.values() if isinstance(v, FunctionValue) and v.scope.path == program.path]
    for wanted in (False, True):
        for function in defined:
            if isinstance(function.node, code.Function) and id(function.node) not in it.entered:
                if mentioned.get(function.name, 0) > 0 and not wanted:
                    continue
                _function(it, function)
    for function, callee in list(it.callbacks.values()):
        if id(function.node) not in it.entered and function.scope.path == program.path:
            _function(it, function, looped=callee.endswith(_BATCH_LOOPS))
    _instances(it)
    _sequentials(it)
    it.frames.pop()


_OURS = frozenset(
    {"torch", "lightning", "pytorch_lightning", "accelerate", "transformers", "fastai", "ignite", "torchvision"}
)
_OTHERS = frozenset(
    {"mxnet", "tensorflow", "keras", "jax", "flax", "paddle", "mindspore", "chainer", "tinygrad", "oneflow", "jittor"}
)


def _of_another_framework(imports: Imports) -> bool:
    """Whether a file imports a look-alike of torch and not torch."""
    tops: set[str] = set()
    for node in imports:
        if isinstance(node, code.Import):
            tops.update(name.partition(".")[0] for name, _ in node.names)
        elif not node.level:
            tops.add(node.module.partition(".")[0])
    return bool(tops & _OTHERS) and not tops & _OURS


def _run(it: Interpreter, run: Run, action: object) -> Run:
    it.quiet, it.repeats, it.forwards, it.recording, it.branches, it.carrying = 0, [], [], True, 0, False
    with it.fuelled(), it.taped() as tape:
        action()  # type: ignore[operator]
    it.facts.cut_short = it.facts.cut_short or it.fuel <= 0
    run.tree = tape
    it.facts.runs.append(run)
    return run


def _other_decorators(node: code.Function) -> list[str]:
    """Decorators that may hand a function on, such as a registry's."""
    plain = [d.func if isinstance(d, code.Call) else d for d in node.decorators]
    names = [last_name(writing.text_of(decorator)) for decorator in plain]
    return [name for name in names if name not in ("no_grad", "inference_mode", "staticmethod", "classmethod")]


def _mentions(statements: list[tuple[code.Stmt, list[Any]]], imports: Imports, scope: Scope) -> dict[str, int]:
    """How often each name of a definition is mentioned outside its own definition, but as an installed module's."""
    bound = {alias or name.partition(".")[0] for node in imports for name, alias in node.names}
    installed = {name for name in bound if isinstance(scope.names.get(name), External)}
    counts: dict[str, int] = {}
    for statement, below in statements:
        own = statement.name if isinstance(statement, (code.Function, code.Class)) else ""
        for name in _mentioned(below, installed):
            if name != own:
                counts[name] = counts.get(name, 0) + 1
    return counts


def _mentioned(nodes: list[Any], installed: set[str]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if type(node) is code.Name:
            found.add(node.name)
        elif type(node) is code.Attribute:
            root = node.base
            while type(root) is code.Attribute:
                root = root.base
            if type(root) is not code.Name or root.name not in installed:
                found.add(node.name)
    return found


def _function(it: Interpreter, function: FunctionValue, receiver: Instance | None = None, looped: bool = False) -> None:
    parameters = function.node.parameters[1:] if receiver is not None else function.node.parameters
    name = f"{receiver.name}.{function.name}" if receiver is not None else function.name
    arguments: dict[str, Value] = {}
    for parameter in parameters:
        if not parameter.star:
            arguments[parameter.name] = functions.assumed(it, parameter, function)
    bound = FunctionValue(function.node, function.scope, receiver, function.owner)
    place = Place(function.scope.path, function.node.at or (1, 1, 1, 1))
    managed = receiver.kind if receiver is not None and receiver.kind in ("lightning", "trainer") else ""
    run = Run(name, function.scope.path, managed=managed)
    repeated = looped or function.name in _FRAMEWORK_LOOPS
    it.counter += repeated
    number = it.counter

    def enter() -> None:
        it.repeats = [number] if repeated else []
        run.result = functions.enter(it, bound, [], arguments, place)

    _run(it, run, enter)
    if repeated and run.tree:
        run.tree = [Repeat(run.tree, place, number, None, name, "batches")]
    if isinstance(function.node, code.Function):
        mentioned = it.mentions.get(function.name, 0) > 0 or bool(_other_decorators(function.node))
        sets = bool(initialisers.INITIALISING & writing.mentioned(it.below(function.node)))
        it.facts.functions.append(FunctionFact(name, place, False, mentioned, sets, function.owner))


def _class(it: Interpreter, cls: ClassValue) -> None:
    """Build an example of a class and go into its methods; a module's forward shows what it computes."""
    kind = modules.kind_of(cls)
    if kind == "function":
        return
    place = Place(cls.scope.path, cls.node.at)
    instance = Instance(cls, kind, place=place, assumed=True)
    hit = cls.find("__init__")
    init = hit[0] if hit is not None and isinstance(hit[0], FunctionValue) else None

    def build() -> None:
        keywords: dict[str, Value] = {}
        if init is not None:
            for parameter in init.node.parameters[1:]:
                if not parameter.star:
                    given = _passed(it, cls, init, parameter.name)
                    keywords[parameter.name] = given or functions.assumed(it, parameter, init)
        classes.initialise(it, instance, [], keywords, place)

    _run(it, Run(f"{cls.name}.__init__", cls.scope.path), build)
    if kind in ("module", "lightning"):
        _module(it, cls, instance, place)
    methods = [
        (member, base)
        for base in cls.lineage()
        if isinstance(base, ClassValue) and base.scope.path == cls.scope.path
        for member in base.attributes.values()
        if isinstance(member, FunctionValue) and isinstance(member.node, code.Function)
    ]
    inside = {name for member, _ in methods for name in writing.mentioned(it.below(member.node))}
    if kind in ("module", "lightning"):
        used = [
            node
            for base in cls.lineage()
            if isinstance(base, ClassValue)
            for member in base.attributes.values()
            if isinstance(member, FunctionValue) and member.name != "__init__"
            for node in it.below(member.node)
        ]
        it.facts.modules[-1].mentions = frozenset(writing.names_read(used))
    left = [(m, b) for m, b in methods if m.name not in ("__init__", "forward") and not functions.is_property(it, m)]
    left.sort(key=lambda method: method[0].name in inside)
    own = {id(member.node): _own_names(it, member.node) - {member.name} for member, _ in left}
    while left := [(member, base) for member, base in left if id(member.node) not in it.entered]:
        # What another method calls on the same object is gone into from there.
        inner = set().union(*(own[id(member.node)] for member, _ in left))
        outer = next((i for i, (member, _) in enumerate(left) if member.name not in inner), 0)
        member, base = left.pop(outer)
        static = functions.bound(member, instance, base)
        receiver = instance if isinstance(static, FunctionValue) and static.receiver is not None else None
        _forget_unrecorded(it, instance)
        _function(it, FunctionValue(member.node, member.scope, None, base), receiver)


def _passed(it: Interpreter, cls: ClassValue, init: FunctionValue, name: str) -> Constant | None:
    """The constant that every construction in sight of a class whose methods a framework calls gives a parameter."""
    position = [parameter.name for parameter in init.node.parameters[1:]].index(name)
    found: list[Constant] = []
    for arguments, keywords in it.given.get(id(cls), []):
        value = keywords.get(name, arguments[position] if position < len(arguments) else None)
        if not isinstance(value, Constant) or value.value is None or (found and value.value != found[0].value):
            return None
        found.append(value)
    return found[0] if found else None


def _forget_unrecorded(it: Interpreter, instance: Instance) -> None:
    """What another way into the code left in attributes with recording off, this one finds as training left it."""
    for name, value in list(instance.attributes.items()):
        if isinstance(value, Tensor) and any(cut.kind in ("no_grad", "inference_mode") for cut in value.cuts):
            it.journal.write(instance.attributes, name, Tensor(hint=value.hint, place=value.place))


def _own_names(it: Interpreter, node: code.Function | code.Lambda) -> set[str]:
    """The attributes that a method reads of its first parameter."""
    first = node.parameters[0].name if node.parameters else ""
    return {
        part.name
        for part in it.below(node)
        if type(part) is code.Attribute and type(part.base) is code.Name and part.base.name == first
    }


def _module(it: Interpreter, cls: ClassValue, instance: Instance, place: Place) -> None:
    hit = cls.find("forward")
    found = ModuleDef(cls, instance, place)
    it.facts.modules.append(found)
    if hit is None or not isinstance(hit[0], FunctionValue):
        return
    arguments = _inputs(it, hit[0])
    it.reads = set()

    def apply() -> None:
        found.output = forward.run(it, instance, [], arguments, place)

    _run(it, Run(f"{cls.name}.forward", cls.scope.path), apply)
    found.reads = frozenset(it.reads)
    for output in _outputs(found.output):
        if output.chain is not None:
            it.facts.stacks.append(Stack(instance, place, output.chain))


def _inputs(it: Interpreter, function: FunctionValue) -> dict[str, Value]:
    """Inputs for a forward that nobody visibly calls."""
    arguments: dict[str, Value] = {}
    for parameter in function.node.parameters[1:]:
        if not parameter.star:
            value = functions.assumed(it, parameter, function)
            arguments[parameter.name] = Unknown(parameter.name, "item") if isinstance(value, Unknown) else value
    return arguments


INSTANCES = 48
"""Modules built by the script whose forward is gone through for their stacks."""


def _instances(it: Interpreter) -> None:
    """Stacks of the modules that the script builds, with the arguments it gives them and the weights it sets."""
    for instance in it.built[:INSTANCES]:
        hit = instance.cls.find("forward")
        if hit is None or not isinstance(hit[0], FunctionValue) or instance.place is None:
            continue
        arguments, place = _inputs(it, hit[0]), Place(instance.cls.scope.path, instance.cls.node.at)
        with it.fuelled(), it.taped():
            it.quiet += 1
            output = forward.run(it, instance, [], arguments, place)
            it.quiet -= 1
        for part in _outputs(output):
            if part.chain is not None:
                it.facts.stacks.append(Stack(instance, place, part.chain))


def _outputs(value: Value | None) -> list[Tensor]:
    from gradlint.facts.interpret.tensors import parts

    return [part for part in parts([value]) if isinstance(part, Tensor)][:4]


def _sequentials(it: Interpreter) -> None:
    """Stacks of the Sequentials that stand on their own, outside any class's forward."""
    for layer in list(it.facts.layers):
        if layer.name != "Sequential" or not layer.complete or layer.place is None:
            continue
        with it.fuelled(), it.taped():
            it.quiet += 1
            it.forwards.append(None)
            output = forward.layer(it, layer, [Unknown("input", "item")], {}, layer.place)
            it.forwards.pop()
            it.quiet -= 1
        if isinstance(output, Tensor) and output.chain is not None:
            it.facts.stacks.append(Stack(layer, layer.place, output.chain))
