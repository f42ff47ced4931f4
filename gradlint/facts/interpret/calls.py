"""Calls: local functions are entered, installed ones looked up, unseen ones take what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.facts import code
from gradlint.facts.code import Expr, Span
from gradlint.facts.events import ONE_OF_SEVERAL, Branch, Condition, Escape, Node
from gradlint.facts.interpret import (
    attributes,
    classes,
    expressions,
    forward,
    functions,
    library,
    methods,
    tensors,
    training_functions,
    wrappers,
    writing,
)
from gradlint.facts.merging import merge
from gradlint.facts.model import CallFact
from gradlint.facts.roles import carries_graph, criterion_like, interesting, last_name, role
from gradlint.facts.values import (
    NONE,
    Choice,
    ClassValue,
    Collection,
    Context,
    External,
    FunctionValue,
    Instance,
    Layer,
    Manager,
    Mapping,
    Method,
    Partial,
    Place,
    Super,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def call(it: Interpreter, expr: code.Call, discarded: bool = False) -> Value:
    """Evaluate a call expression."""
    wrapper = wrappers.goes_round(it, expr.func)
    if wrapper is None:
        return _call(it, expr, discarded)
    before = len(it.tape)
    result = _call(it, expr, discarded)
    wrappers.called(it, expr, wrapper, it.tape[before:], result)
    return result


def _call(it: Interpreter, expr: code.Call, discarded: bool) -> Value:
    it.fuel -= 1
    func = expr.func
    place = it.place(expr.at)
    if isinstance(func, code.Name) and func.name == "super" and it.scope.holder("super") is None:
        return _super(it)
    if isinstance(func, code.Attribute):
        base = expressions.evaluate(it, func.base)
        arguments, keywords = _arguments(it, expr)
        hint = writing.text_of(func)
        _hand_over(it, hint, arguments, keywords)
        if isinstance(base, Choice):
            return each(
                it, base, lambda option: _method(it, option, func, arguments, keywords, place, hint, discarded), place
            )
        return _method(it, base, func, arguments, keywords, place, hint, discarded)
    callee = expressions.evaluate(it, func)
    arguments, keywords = _arguments(it, expr)
    hint = writing.text_of(func)
    _hand_over(it, callee.name if isinstance(callee, External) else hint, arguments, keywords)
    if isinstance(callee, Choice):
        optimizer_class = training_functions.one_class(callee)
        if optimizer_class is not None:
            return apply(it, optimizer_class, arguments, keywords, place, hint, discarded)
        return each(it, callee, lambda option: apply(it, option, arguments, keywords, place, hint, discarded), place)
    return apply(it, callee, arguments, keywords, place, hint, discarded)


def each(it: Interpreter, choice: Choice, action: Callable[[Value], Value], place: Place) -> Value:
    """Call one of several values: exclusive arms, and the same one wherever the same choice is called."""
    tapes: list[list[Node]] = []
    results: list[Value] = []
    for option in choice.options:
        with it.taped() as tape:
            results.append(action(option))
        tapes.append(tape)
    if any(tapes):
        it.kept.append(choice)
        loop = max((it.births[id(o)] for o in choice.options if id(o) in it.births), default=None)
        it.tape.append(Branch(Condition(f"choice {id(choice)}", ONE_OF_SEVERAL, loop=loop), tapes, place))
    return merge(results)


def _hand_over(it: Interpreter, callee: str, arguments: list[Value], keywords: dict[str, Value]) -> None:
    """Remember local functions given to somebody: if nobody visibly calls them, somebody unseen does."""
    for value in (*arguments, *keywords.values()):
        if isinstance(value, FunctionValue) and value.receiver is None:
            it.callbacks[id(value.node)] = (value, callee)


def _method(
    it: Interpreter,
    base: Value,
    func: code.Attribute,
    arguments: list[Value],
    keywords: dict[str, Value],
    place: Place,
    hint: str,
    discarded: bool,
) -> Value:
    if func.name == "forward" and role(base) == "module" and base is not it.frame.receiver:
        record(it, "Module.forward", arguments, keywords, base, place, receiver=base)
        if isinstance(base, Instance):
            return forward.run(it, base, arguments, keywords, place)
    direct = isinstance(base, (Unknown, Tensor))
    callee = Method(base, func.name) if direct else attributes.read(it, base, func.name, func)
    if isinstance(callee, Method):
        return methods.call(it, callee.receiver, callee.name, arguments, keywords, place, hint, discarded)
    if isinstance(callee, Choice):
        return merge([apply(it, option, arguments, keywords, place, hint, discarded) for option in callee.options])
    return apply(it, callee, arguments, keywords, place, hint, discarded, base)


def _arguments(it: Interpreter, expr: code.Call) -> tuple[list[Value], dict[str, Value]]:
    positional: list[Value] = []
    keywords: dict[str, Value] = {}
    for argument in expr.arguments:
        value = expressions.evaluate(it, argument.value)
        if argument.star == "*":
            if isinstance(value, Collection) and not value.open:
                positional.extend(value.items)
            elif isinstance(value, Collection):
                positional.append(Collection("tuple", value.items, True, value.place, value.element))
            else:
                positional.append(Collection("tuple", [value], open=True))
        elif argument.star == "**":
            given = _either_mapping(value)
            if given is not None:
                keywords.update({str(key): item for key, item in given.items.items()})
            if given is None or given.open:
                keywords["**"] = value
        elif argument.name is not None:
            keywords[argument.name] = value
        else:
            positional.append(value)
    it.called = expr
    return positional, keywords


def _either_mapping(value: Value) -> Mapping | None:
    """The one dict that stands for a dict, or for several of which one is taken: what not all have is unknown."""
    if isinstance(value, Mapping):
        return value
    given = value.options if isinstance(value, Choice) else ()
    mappings = [option for option in given if isinstance(option, Mapping)]
    if not mappings or len(mappings) < len(given):
        return None
    keys = dict.fromkeys(key for mapping in mappings for key in mapping.items)
    items: dict[Any, Value] = {}
    for key in keys:
        found = [mapping.items[key] for mapping in mappings if key in mapping.items]
        items[key] = merge(found) if len(found) == len(mappings) else Unknown(str(key))
    return Mapping(items, any(mapping.open for mapping in mappings))


def _spans(expr: code.Call | None) -> dict[str, Span]:
    """Where a call's keywords stand, and the name that is called."""
    if expr is None:
        return {}
    spans = {argument.name: argument.at for argument in expr.arguments if argument.name and argument.at is not None}
    if isinstance(expr.func, code.Attribute) and expr.func.at is not None:
        spans[f".{expr.func.name}"] = expr.func.at
    elif isinstance(expr.func, code.Name) and expr.func.at is not None:
        spans[f"{expr.func.name}("] = expr.func.at
    return spans


def apply(
    it: Interpreter, callee: Value, arguments: list[Value], keywords: dict[str, Value], place: Place, hint: str,
    discarded: bool = False,
    receiver: Value | None = None,
) -> Value:  # fmt: skip
    """Call a value."""
    if isinstance(callee, External):
        return library.call(it, callee.name, arguments, keywords, place, hint, discarded)
    if isinstance(callee, FunctionValue):
        return functions.enter(it, callee, arguments, keywords, place)
    if isinstance(callee, ClassValue):
        return classes.construct(it, callee, arguments, keywords, place)
    if isinstance(callee, Instance):
        if callee.kind in ("module", "lightning"):
            return forward.run(it, callee, arguments, keywords, place)
        hit = callee.cls.find("__call__")
        if hit is not None and isinstance(hit[0], FunctionValue):
            return functions.enter(it, functions.bound(hit[0], callee, hit[1]), arguments, keywords, place)
    if isinstance(callee, Layer):
        return forward.run(it, callee, arguments, keywords, place)
    if isinstance(callee, Partial):
        return apply(
            it, callee.func, [*callee.arguments, *arguments], {**callee.keywords, **keywords}, place, hint, discarded
        )
    if isinstance(callee, Method):
        return methods.call(it, callee.receiver, callee.name, arguments, keywords, place, hint, discarded)
    if isinstance(callee, Manager) and callee.kind == "deepspeed":
        return forward.run(it, callee.arguments[0], arguments, keywords, place)
    if isinstance(callee, Unknown) and role(callee) == "module" and not _factory_like(callee):
        return forward.run(it, callee, arguments, keywords, place)
    return unseen(it, arguments, keywords, place, hint, callee)


def _factory_like(callee: Unknown) -> bool:
    name = last_name(callee.hint)
    return (
        callee.origin == "import"
        or (name[:1].isupper() and callee.origin not in ("call", "item"))
        or name.startswith(("get_", "build_", "make_", "create_", "load_", "save_"))
    )


def unseen(
    it: Interpreter,
    arguments: list[Value],
    keywords: dict[str, Value],
    place: Place,
    hint: str,
    callee: Value | None = None,
) -> Value:
    """A callee nobody can see: what matters among its arguments escapes, and its result may hang on them."""
    values = [*arguments, *keywords.values()]
    touched = tuple(value for value in values if interesting(value))
    if callee is not None and interesting(callee):
        touched = (*touched, callee)
    escaping = tuple(v for v in touched if not isinstance(v, Tensor) or (v.roots and v.loss is not None))
    if escaping:
        it.emit(Escape(place, it.frame.function, escaping, hint))
    inside = tensors.parts(values)
    if any(isinstance(part, Tensor) and (part.roots or part.cuts) for part in inside):
        result = tensors.derive(it, values, place, hint=last_name(hint))
        result.chain, result.optional = None, True
        result.loss = callee if criterion_like(callee) else None
        if result.loss is None or "parameters" in getattr(callee, "uses", ()):
            # What an unseen callee does with a detached input nobody knows.
            result.mystery = result.mystery or (not result.roots and not (callee is None and tensors.numbers(inside)))
            result.sources = ()
            result.attribute = "unseen"
        return result
    if criterion_like(callee):
        return Tensor(mystery=True, loss=callee, hint="loss", place=place)
    graph = tuple(part for part in inside if carries_graph(part))
    return it.unknown(last_name(hint), "call", (*touched, *graph))


def _super(it: Interpreter) -> Value:
    owner, receiver = it.frame.owner, it.frame.receiver
    for frame in reversed(it.frames):
        if owner is not None and receiver is not None:
            break
        owner, receiver = frame.owner, frame.receiver
    return Super(owner, receiver) if owner is not None and receiver is not None else it.unknown("super()")


def entered(it: Interpreter, value: Value) -> Value:
    """What `with value as name` binds."""
    if isinstance(value, Context):
        return value.argument if value.kind == "scale_loss" and value.argument is not None else value
    if isinstance(value, Instance):
        hit = value.cls.find("__enter__")
        if hit is not None and isinstance(hit[0], FunctionValue):
            return functions.enter(it, functions.bound(hit[0], value, hit[1]), [], {}, it.place(None))
    return value


def left(it: Interpreter, value: Value) -> None:
    """The end of `with value:` for an object of the project."""
    if isinstance(value, Instance):
        hit = value.cls.find("__exit__")
        if hit is not None and isinstance(hit[0], FunctionValue):
            functions.enter(it, functions.bound(hit[0], value, hit[1]), [NONE, NONE, NONE], {}, it.place(None))


def _remembered(it: Interpreter) -> bool:
    """Whether a decorator of a helper that forward calls may keep what the helper made on its first call."""
    for frame in reversed(it.frames):
        if frame.function.endswith("forward"):
            return False
        names = {writing.text_of(d.func if isinstance(d, code.Call) else d) for d in _decorators(frame.node)}
        if any(name.rpartition(".")[2] not in _TRANSPARENT for name in names):
            return True
    return False


_TRANSPARENT = frozenset({"no_grad", "inference_mode", "enable_grad", "staticmethod", "classmethod", "autocast"})
"""Decorators under which a function still runs whenever it is called."""


def _decorators(node: object) -> list[Expr]:
    return node.decorators if isinstance(node, code.Function) else []


def record(
    it: Interpreter, name: str, arguments: list[Value], keywords: dict[str, Value], result: Value, place: Place,
    discarded: bool = False,
    receiver: Value | None = None,
) -> None:  # fmt: skip
    """Keep a call of something known as a fact."""
    # A policy is asked for actions without recording before it is trained through the same line.
    asked = it.recording is False and name.startswith("Distribution.")
    if it.once("call", name, place, asked):
        inner = next((module for module in reversed(it.forwards) if module is not None), None)
        if _remembered(it):
            inner = None
        it.facts.calls.append(
            CallFact(
                name,
                arguments,
                keywords,
                result,
                place,
                it.frame.function,
                tuple(it.repeats),
                inner,
                it.recording,
                discarded,
                receiver,
                it.branches > 0,
                _spans(it.called),
            )
        )


def discarded(it: Interpreter, node: code.Evaluate, value: Value) -> None:
    """An expression statement whose value nobody takes, as `p.grad * 2`."""
    from gradlint.facts.values import Gradient

    if isinstance(node.value, (code.Binary, code.Compare)) and isinstance(value, Gradient):
        record(it, "Gradient.operator", [], {}, value, it.place(node.at), True)
    elif isinstance(node.value, code.Compare) and _switches(node.value):
        record(it, "requires_grad ==", [], {}, value, it.place(node.at), True)


def _switches(test: code.Compare) -> bool:
    """`p.requires_grad == False`, written for `=`."""
    return isinstance(test.left, code.Attribute) and test.left.name == "requires_grad" and test.rest[0][0] == "=="


_ENDINGS = frozenset({"sys.exit", "exit", "quit", "os._exit"})


def ends_process(expr: Expr) -> str | None:
    """`sys.exit()` as a statement leaves everything."""
    return "raise" if isinstance(expr, code.Call) and writing.text_of(expr.func) in _ENDINGS else None
