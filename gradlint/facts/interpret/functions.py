"""Functions of the project: what a definition binds, and what entering one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.events import Call, Exit, Node
from gradlint.facts.interpret import (
    calls,
    classes,
    context_managers,
    costs,
    expressions,
    modules,
    shaping,
    tensors,
    writing,
)
from gradlint.facts.interpret.frame import Frame
from gradlint.facts.merging import merge
from gradlint.facts.model import FunctionFact
from gradlint.facts.roles import last_name
from gradlint.facts.scope import Scope
from gradlint.facts.torch_names import AUTOCAST
from gradlint.facts.values import (
    NONE,
    ClassValue,
    Collection,
    Constant,
    Context,
    External,
    FunctionValue,
    Instance,
    Mapping,
    Place,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


DEPTH = 24
"""Local calls inside one another before a callee counts as unseen."""
_GRAD_MODES = frozenset({"no_grad", "inference_mode", "enable_grad", "set_grad_enabled"})
"""Whether a decorator of one's own that names these turns recording off is for its wrapper to decide."""


def define(it: Interpreter, node: code.Function) -> None:
    """`def`: bind a function with what its decorators mean."""
    contexts: list[Context] = []
    for decorator in node.decorators:
        plain = decorator.func if isinstance(decorator, code.Call) else decorator
        value = expressions.evaluate(it, plain)
        if isinstance(value, External) and value.name in ("torch.no_grad", "torch.inference_mode", "torch.enable_grad"):
            kind = value.name.rpartition(".")[2]
            contexts.append(Context(kind, None, it.place(node.at)))
        elif isinstance(value, External) and value.name in AUTOCAST:
            made = expressions.evaluate(it, decorator) if isinstance(decorator, code.Call) else None
            enabled = made.argument if isinstance(made, Context) else None
            dtype = made.dtype if isinstance(made, Context) else ""
            contexts.append(Context("autocast", enabled, it.place(node.at), dtype))
        elif isinstance(value, FunctionValue) and _GRAD_MODES & writing.attribute_names(value.node):
            contexts.append(Context("set_grad_enabled", None, it.place(node.at)))
    if contexts:
        it.contexts[id(node)] = contexts
    function = FunctionValue(node, it.scope, owner=it.frame.owner)
    if node.decorators and it.scope.kind == "function":
        it.callbacks[id(node)] = (function, "")
    it.write(node.name, function)


def is_property(it: Interpreter, function: FunctionValue) -> bool:
    """Whether a method is read like an attribute."""
    return any(
        last_name(writing.text_of(decorator)) in ("property", "cached_property", "lazy_property", "setter")
        for decorator in getattr(function.node, "decorators", ())
    )


def bound(member: FunctionValue, receiver: Value, owner: ClassValue | None) -> FunctionValue:
    """A method as read from an instance."""
    decorators = {last_name(writing.text_of(d)) for d in getattr(member.node, "decorators", ())}
    if "staticmethod" in decorators:
        return FunctionValue(member.node, member.scope, None, owner)
    return FunctionValue(member.node, member.scope, receiver, owner)


def enter(
    it: Interpreter, function: FunctionValue, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    """Run a local function with these arguments and put its events where the call stands."""
    node = function.node
    own = bool(it.frames) and bool(arguments) and arguments[0] is it.frame.receiver
    if own and function.name == "__init__" and function.receiver is None:
        # `Parent.__init__(self)`
        function, arguments = FunctionValue(node, function.scope, arguments[0], function.owner), arguments[1:]
    if (
        len(it.frames) > DEPTH
        or it.fuel <= it.floor
        or [frame.node for frame in it.frames].count(node) >= _recursion(node)
    ):
        return calls.unseen(it, arguments, keywords, place, function.name, None)
    if _is_stub(node):
        # What a subclass does there nobody sees.
        return calls.unseen(it, arguments, keywords, place, function.name, None)
    name = f"{function.owner.name}.{function.name}" if function.owner is not None else function.name
    if function.scope.path == it.facts.path:
        return _run(it, function, name, arguments, keywords, place)
    if _too_dear(it, function):
        if function.name == "__init__" and isinstance(function.receiver, Instance):
            _unseen_start(it, function.receiver)
        return calls.unseen(it, arguments, keywords, place, function.name, function.receiver)
    return it.costs.of(it, function, name, lambda: _run(it, function, name, arguments, keywords, place))


def _unseen_start(it: Interpreter, instance: Instance) -> None:
    """A constructor that nobody sees may have set anything."""
    it.journal.write(instance.attributes, "…", it.unknown("…", "call"))
    if it.frames and it.frame.receiver is instance:
        it.frame.ready = None


def _run(
    it: Interpreter,
    function: FunctionValue,
    name: str,
    arguments: list[Value],
    keywords: dict[str, Value],
    place: Place,
) -> Value:
    node = function.node
    scope = Scope(function.scope.path, "function", function.scope)
    it.entered.add(id(node))
    frame = Frame(scope, name, node, function.receiver, function.owner, loops=len(it.repeats))
    if function.name == "__init__" and isinstance(function.receiver, Instance):
        frame.ready = it.frame.ready if it.frame.receiver is function.receiver else False
    elif it.frames and it.frame.receiver is function.receiver:
        frame.ready = it.frame.ready
    if it.resume is not None and _decorated(node, "contextmanager"):
        frame.resume, it.resume = it.resume, None
    statement, unusual = it.statement, it.unusual
    _bind_parameters(it, frame, function, arguments, keywords)
    it.frames.append(frame)
    tape: list[Node] = []
    outer, it.tape = it.tape, tape
    try:
        if isinstance(node, code.Lambda):
            frame.returns.append(expressions.evaluate(it, node.body))
            ended: str | None = "return"
        else:
            ended = _body(it, node, it.contexts.get(id(node), []))
    finally:
        it.tape = outer
        it.frames.pop()
        it.statement, it.unusual = statement, unusual
    if it.frames and it.frame.receiver is function.receiver and it.frame.ready is not None:
        it.frame.ready = frame.ready
    idle = len(tape) == 1 and isinstance(tape[0], Exit) and tape[0].kind == "return"
    if tape and not idle:
        it.tape.append(Call(name, tape, place))
    _note(it, node, name, function)
    if it.fuel <= it.floor:
        # It may return something where nobody came.
        return calls.unseen(it, arguments, keywords, place, function.name, None)
    if not frame.returns:
        return NONE
    if frame.generates and not _decorated(node, "contextmanager"):
        if any(isinstance(part, Tensor) and part.roots for part in tensors.parts(frame.returns)):
            # A graph that is made between two rounds of the loop that draws from it.
            return it.unknown(last_name(name), "call")
        drawn = Collection("list", [], open=True, element=merge(frame.returns))
        if frame.drawn:
            calls.record(it, "generator", frame.drawn, {}, drawn, place)
        return drawn
    return merge([*frame.returns] if ended is not None else [*frame.returns, NONE])


def hidden(it: Interpreter, function: FunctionValue) -> bool:
    """Whether a call of a function of the project is not followed: a subclass defines it, or it costs too much."""
    return _is_stub(function.node) or _too_dear(it, function)


def _too_dear(it: Interpreter, function: FunctionValue) -> bool:
    return bool(it.unseen) and function.scope.path != it.facts.path and costs.key_of(function) in it.unseen


def _is_stub(node: code.Function | code.Lambda) -> bool:
    """Whether a function does nothing but raise, or is marked abstract and does nothing."""
    if not isinstance(node, code.Function) or not all(isinstance(statement, code.Jump) for statement in node.body):
        return False
    return any(isinstance(s, code.Jump) and s.kind == "raise" for s in node.body) or _decorated(node, "abstractmethod")


def _decorated(node: code.Function | code.Lambda, name: str) -> bool:
    decorators = calls._decorators(node)
    return bool(decorators) and name in [last_name(writing.text_of(decorator)) for decorator in decorators]


def _note(it: Interpreter, node: code.Function | code.Lambda, name: str, function: FunctionValue) -> None:
    if isinstance(node, code.Function) and it.once("function", id(node)):
        it.facts.functions.append(FunctionFact(name, Place(function.scope.path, node.at), True))


def _recursion(node: code.Function | code.Lambda) -> int:
    return 2 if isinstance(node, code.Function) and len(node.body) < 12 else 1


def _body(it: Interpreter, node: code.Function, contexts: list[Context]) -> str | None:
    if not contexts:
        return it.block(node.body)
    return context_managers.under(it, contexts[0], lambda: _body(it, node, contexts[1:]))


def _bind_parameters(
    it: Interpreter, frame: object, function: FunctionValue, arguments: list[Value], keywords: dict[str, Value]
) -> None:
    assert isinstance(frame, Frame)
    names = frame.scope.names
    values = [function.receiver, *arguments] if function.receiver is not None else list(arguments)
    last = values[-1] if values else None
    spread = last if isinstance(last, Collection) and last.open and last.kind == "tuple" else None
    if spread is not None:
        values.pop()
    remaining = dict(keywords)
    for parameter in function.node.parameters:
        if parameter.star == "*":
            given = [v for v in values if v is not None]
            names[parameter.name] = Collection("tuple", given)
            if spread is not None:
                seen = [item for item in spread.items if not isinstance(item, Unknown)]
                names[parameter.name] = Collection("tuple", [*given, *seen], True, element=spread.element)
            values = []
        elif parameter.star == "**":
            rest = {key: value for key, value in remaining.items() if key != "**"}
            names[parameter.name] = Mapping(dict(rest), open="**" in remaining)
        elif values and not parameter.keyword_only:
            names[parameter.name] = values.pop(0) or NONE
        elif parameter.name in remaining:
            names[parameter.name] = remaining.pop(parameter.name)
        elif parameter.default is not None and spread is None and "**" not in remaining:
            names[parameter.name] = _default(it, parameter, function)
        else:
            names[parameter.name] = assumed(it, parameter, function)
        if names[parameter.name] is not function.receiver:
            it.call_it(parameter.name, names[parameter.name], lent=True)


def _default(it: Interpreter, parameter: code.Parameter, function: FunctionValue) -> Value:
    assert parameter.default is not None
    it.frames.append(Frame(function.scope, function.name))
    try:
        return expressions.evaluate(it, parameter.default)
    finally:
        it.frames.pop()


def assumed(it: Interpreter, parameter: code.Parameter, function: FunctionValue) -> Value:
    """What a parameter stands for that nobody visibly passes: its default as a setting, else its role from use."""
    if parameter.default is not None:
        value = _default(it, parameter, function)
        if isinstance(value, Constant) and value.value is not None:
            return Constant(value.value, default=True, place=value.place)
        if not isinstance(value, (Constant, External)):
            return value
    example = _annotated(it, parameter, function)
    if example is not None:
        return example
    uses = writing.uses_in(it, function.node).get(parameter.name, frozenset())
    return Unknown(parameter.name, "parameter", uses, shape=shaping.annotated(parameter.annotation))


def _annotated(it: Interpreter, parameter: code.Parameter, function: FunctionValue) -> Value | None:
    """An example of the local module class that a parameter is annotated with; each parameter has its own."""
    if not isinstance(parameter.annotation, (code.Name, code.Attribute)):
        return None
    it.frames.append(Frame(function.scope, function.name))
    try:
        cls = expressions.evaluate(it, parameter.annotation)
    finally:
        it.frames.pop()
    if not isinstance(cls, ClassValue) or (modules.kind_of(cls) != "module" and not classes.is_record(cls)):
        return None
    key = (id(function.node), parameter.name)
    if key not in it.examples:
        it.examples[key] = None
        it.examples[key] = classes.example_of(it, cls)
    return it.examples[key]
