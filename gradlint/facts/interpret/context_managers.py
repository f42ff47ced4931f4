"""Context managers: what runs under them, and in which mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.events import Within
from gradlint.facts.interpret import assign, calls, expressions
from gradlint.facts.values import Constant, Context, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def within(it: Interpreter, node: code.With) -> str | None:
    return _enter(it, node, 0)


def _enter(it: Interpreter, node: code.With, index: int) -> str | None:
    if index == len(node.items):
        return it.block(node.body)
    expr, target = node.items[index]
    endings: list[str | None] = []

    def body(entered: Value) -> None:
        if target is not None:
            assign.bind(it, target, entered, node.at)
        endings.append(_enter(it, node, index + 1))

    # A local generator under `contextmanager` runs the body where it yields.
    it.resume = body if isinstance(expr, code.Call) else None
    value = expressions.evaluate(it, expr)
    it.resume = None
    if endings:
        return endings[-1]
    context = value if isinstance(value, Context) else None
    entered = calls.entered(it, value)
    if target is not None:
        assign.bind(it, target, entered, node.at)
    if context is None:
        ended = _enter(it, node, index + 1)
        calls.left(it, value)
        return ended
    return under(it, context, lambda: _enter(it, node, index + 1))


def under(it: Interpreter, context: Context, action: Callable[[], str | None]) -> str | None:
    """Run under a context manager that means something."""
    recording, mode = it.recording, it.recording_context
    if context.kind in ("no_grad", "inference_mode"):
        recording, mode = False, context.kind
    elif context.kind == "enable_grad":
        recording, mode = True, context.kind
    elif context.kind == "set_grad_enabled":
        value = context.argument
        fixed = isinstance(value, Constant) and not value.default
        recording, mode = (bool(value.value) if isinstance(value, Constant) and fixed else None), context.kind
    outer, casting = it.autocast, it.casting
    it.autocast = outer or context.kind == "autocast"
    it.casting = context.dtype if context.kind == "autocast" else casting
    try:
        with it.taped() as tape, it.grad_mode(recording, mode):
            ended = action()
    finally:
        it.autocast, it.casting = outer, casting
    if tape:
        it.tape.append(Within(context, tape, context.place))
    return ended
