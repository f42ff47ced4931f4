"""Branches: each arm is run from the same state, and what goes on after them is merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.facts import code
from gradlint.facts.code import Span, Stmt
from gradlint.facts.events import Branch, Condition, Exit, Node, OptimizerStep, walk
from gradlint.facts.interpret import conditions, expressions, tensors, writing
from gradlint.facts.roles import carries_graph
from gradlint.facts.values import Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def branch(it: Interpreter, node: code.If) -> str | None:
    decided, condition = conditions.judge(it, node.test)
    if decided is not None:
        return it.block(node.body if decided else node.orelse)
    holds, fails = conditions.narrowed(it, node.test)
    actions = [
        lambda: _knowing(it, holds, node.body, condition.default is False),
        lambda: _knowing(it, fails, node.orelse, condition.default is True),
    ]
    fixed = bool(it.repeats) and condition.loop is None and conditions.fixed(it, node.test)
    ended = arms(it, condition, actions, node.at, conditions.compares_settings(it, node.test), fixed)
    if condition.default is True and node.body and isinstance(node.body[-1], code.Return):
        it.unusual = True
    return ended


def _knowing(it: Interpreter, names: dict[str, Value], body: list[Stmt], unusual: bool) -> str | None:
    for name, value in names.items():
        it.write(name, value)
    before, it.unusual = it.unusual, it.unusual or unusual
    try:
        return it.block(body)
    finally:
        it.unusual = before


def arms(
    it: Interpreter,
    condition: Condition,
    actions: list[Callable[[], str | None]],
    at: Span,
    setting: bool = False,
    fixed: bool = False,
) -> str | None:
    """Run exclusive arms from the same state and merge what goes on after them; a `setting` chooses one for all, a
    `fixed` condition the same one in every iteration.
    """
    tapes: list[list[Node]] = []
    going: list[dict[tuple[int, str], tuple[Any, Value]]] = []
    endings: list[str | None] = []
    before_ready = it.frame.ready
    it.branches += not setting
    for action in actions:
        with it.taped() as tape:
            changes, ended = it.journal.attempt(action)
        tapes.append(tape)
        endings.append(ended)
        if ended is None:
            going.append(changes)
    it.branches -= not setting
    if not any(ended is None for ended in endings):
        it.frame.ready = before_ready
    settled = _settled(it, going) if it.repeats and (fixed or _steps(tapes)) else []
    it.journal.join(going)
    for value in tensors.parts(place[key] for place, key in settled):
        (it.settled if fixed else it.dropped).add(id(value))
        it.kept.append(value)
    if any(tapes):
        it.tape.append(Branch(condition, tapes, it.place(at)))
    if all(ended is not None for ended in endings):
        return endings[0] if len(set(endings)) == 1 else "mixed"
    return None


def _steps(tapes: list[list[Node]]) -> bool:
    return any(isinstance(event, OptimizerStep) for tape in tapes for event in walk(tape))


def _settled(it: Interpreter, arms: list[dict[tuple[int, str], tuple[Any, Value]]]) -> list[tuple[Any, str]]:
    """What one arm leaves without a graph and another with one."""
    places = {at: place for changes in arms for at, (place, _) in changes.items()}
    found: list[tuple[Any, str]] = []
    for (ident, key), place in places.items():
        values = [changes[ident, key][1] if (ident, key) in changes else place.get(key) for changes in arms]
        graphs = {carries_graph(value) for value in values}
        if len(graphs) == 2:
            found.append((place, key))
    return found


def attempt(it: Interpreter, node: code.Try) -> str | None:
    ended = it.block(node.body)
    if ended is None:
        ended = it.block(node.orelse)
    if node.handlers:
        it.counter += 1
        condition = Condition(f"except {it.counter}", "an exception", loop=it.repeats[-1] if it.repeats else 0)
        handlers: list[Callable[[], str | None]] = [lambda body=body: it.block(body) for body in node.handlers]  # type: ignore[misc]
        if ended is None:
            arms(it, condition, [*handlers, lambda: None], node.at)
        else:
            # The body leaves: only a handler goes on from here.
            exit_node = it.tape.pop() if it.tape and isinstance(it.tape[-1], Exit) else None
            keep: list[Node] = [exit_node] if exit_node is not None else []
            left = arms(it, condition, [*handlers, lambda: _leave(it, keep, ended)], node.at)
            ended = left
    final = it.block(node.final)
    return final or ended


def _leave(it: Interpreter, nodes: list[Node], ended: str | None) -> str | None:
    it.tape.extend(nodes)
    return ended


def match(it: Interpreter, node: code.Match) -> str | None:
    subject = expressions.evaluate(it, node.subject)
    it.counter += 1
    condition = Condition(f"match {it.counter}", writing.text_of(node.subject), loop=it.births.get(id(subject)))
    actions: list[Callable[[], str | None]] = [lambda body=body: it.block(body) for body in node.cases]  # type: ignore[misc]
    return arms(it, condition, [*actions, lambda: None], node.at)
