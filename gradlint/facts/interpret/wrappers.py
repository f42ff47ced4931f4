"""Calls that go round a DistributedDataParallel wrapper: through `.module`, or through the name of what was wrapped.

A wrapper and what it wraps are one value here, so it is the way a call is written that tells which of the two it is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.code import Expr
from gradlint.facts.events import Forward, Node, walk
from gradlint.facts.interpret import expressions, writing
from gradlint.facts.model import Bypass
from gradlint.facts.roles import role
from gradlint.facts.values import Choice, External, Instance, Layer, Unknown, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_MOVES = frozenset({"to", "cuda", "train", "float", "half", "bfloat16"})
_WRAPPER = "torch.nn.parallel.DistributedDataParallel"


def bound(it: Interpreter, node: code.Assign, value: Value) -> None:
    """After `targets = value`: names of a wrapper, of what it wraps and of what was taken out of it again."""
    if not isinstance(node.value, (code.Call, code.Attribute, code.Conditional)) and not it.wrapped:
        return
    targets = [target.name for target in node.targets if isinstance(target, code.Name)]
    for name in targets:
        it.wrapped.pop((id(it.scope.names), name), None)
    # What makes a wrapper gives the module back that it wraps.
    like_module = isinstance(value, (Layer, Instance, Unknown, Choice))
    if isinstance(node.value, code.Call) and like_module and _makes(it, node.value):
        it.wrappers[id(value)] = writing.text_of(node.targets[0])
        it.kept.append(value)
        inner = _first_name(node.value)
        holder = it.scope.holder(inner) if inner is not None and inner not in targets else None
        if holder is not None and inner is not None and not it.branches:
            it.wrapped[id(holder.names), inner] = it.wrappers[id(value)]
        return
    # `raw = model.module if distributed else model`
    ways = [node.value.body, node.value.orelse] if isinstance(node.value, code.Conditional) else [node.value]
    inner_of = [way.base for way in ways if isinstance(way, code.Attribute) and way.name == "module"]
    if inner_of:
        wrapper = it.wrappers.get(id(expressions.evaluate(it, inner_of[0])))
        if wrapper is not None and not it.branches:
            it.wrapped.update({(id(it.scope.names), name): wrapper for name in targets})


def _makes(it: Interpreter, call: code.Call) -> bool:
    base = call.func
    while isinstance(base, code.Attribute):
        base = base.base
    if not isinstance(base, code.Name):
        return False
    callee = expressions.evaluate(it, call.func)
    return isinstance(callee, External) and callee.name == _WRAPPER


def _first_name(call: code.Call) -> str | None:
    """The name under which the wrapped module was known: `net` in `DDP(net.to(rank))`."""
    current: Expr | None = call.arguments[0].value if call.arguments else None
    while isinstance(current, code.Call) and isinstance(current.func, code.Attribute) and current.func.name in _MOVES:
        current = current.func.base
    return current.name if isinstance(current, code.Name) else None


def goes_round(it: Interpreter, func: Expr) -> str | None:
    """The wrapper that a call of `func` goes round."""
    if not it.wrappers or it.forwards or it.recording is False:
        return None
    current: Expr = func
    while isinstance(current, code.Attribute):
        if current.name == "module":
            return it.wrappers.get(id(expressions.evaluate(it, current.base)))
        current = current.base
    if not isinstance(current, code.Name):
        return None
    holder = it.scope.holder(current.name)
    return it.wrapped.get((id(holder.names), current.name)) if holder is not None else None


def called(it: Interpreter, call: code.Call, wrapper: str, events: list[Node], result: Value) -> None:
    """Keep a call that went round `wrapper` as a fact, if it ran the network."""
    func = call.func
    direct = isinstance(func, code.Attribute) and func.name == "module"
    part = isinstance(func, code.Attribute) and role(Unknown(func.name)) == "module"
    ran = any(isinstance(event, Forward) and event.recording is not False for event in walk(events))
    if (ran or direct or part) and it.once("bypass", it.place(call.at)):
        it.facts.bypasses.append(Bypass(it.place(call.at), writing.text_of(func), wrapper, result))
