"""Loops: over known items one by one, else one iteration to its fixpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.code import Span
from gradlint.facts.events import Exit, Freeze, Node, Repeat, walk
from gradlint.facts.interpret import assign, conditions, expressions, iterators, recurrences, writing
from gradlint.facts.interpret.loops import any_element, items_of
from gradlint.facts.values import Loader, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


UNROLLED = 1_000
"""Steps spent on known items one by one, loops within loops together, before the rest of each loop is taken together.
"""


def loop(it: Interpreter, node: code.For) -> str | None:
    iterable = expressions.evaluate(it, node.iterable)
    iterators.exhaust(it, iterable, it.place(node.at), f"for … in {writing.text_of(node.iterable)}")
    if isinstance(iterable, Loader):
        it.frame.drawn.append(iterable)
    items, known = items_of(it, iterable, node)
    if known:
        started, it.unrolled = it.unrolled, it.unrolled or it.fuel
        try:
            ended, known = _unroll(it, node, items)
        finally:
            it.unrolled = started
        if known:
            return ended
        items = [any_element(it, iterable)]
    hint = writing.text_of(node.iterable)
    return repeat(
        it, node, iterable, hint, lambda: assign.bind(it, node.target, items[0], node.at, True), fresh=items[0]
    )


def _unroll(it: Interpreter, node: code.For, items: list[Value]) -> tuple[str | None, bool]:
    """Go through known items one by one; False if that costs so much that the rest has to be taken together."""
    for index, item in enumerate(items):
        if index and it.unrolled - it.fuel > UNROLLED:
            return None, it.fuel <= it.floor
        assign.bind(it, node.target, item, node.at, fresh=True)
        ended = it.block(node.body)
        if ended == "break":
            _drop_exit(it.tape)
            return None, True
        if ended in ("return", "raise", "mixed"):
            return ended, True
        _drop_exit(it.tape)
    return it.block(node.orelse), True


def loop_while(it: Interpreter, node: code.While) -> str | None:
    decided, _ = conditions.judge(it, node.test)
    if decided is False:
        return None
    return repeat(it, node, None, writing.text_of(node.test), lambda: None)


def repeat(
    it: Interpreter,
    node: code.For | code.While,
    over: Value | None,
    hint: str,
    prepare: Callable[[], None],
    fresh: Value | None = None,
) -> str | None:
    """Run a body to its fixpoint: once on trial to learn what one iteration changes, once from the merged state."""

    def action() -> str | None:
        prepare()
        return it.block(node.body)

    target = writing.text_of(node.target) if isinstance(node, code.For) else ""
    cycle(it, action, over, hint, node.at, fresh, target)
    it.block(node.orelse)
    return None


def cycle(
    it: Interpreter,
    action: Callable[[], str | None],
    over: Value | None,
    hint: str,
    at: Span,
    fresh: Value | None = None,
    target: str = "",
) -> None:
    """Run one iteration on trial and once more from the state it leaves."""
    it.counter += 1
    number = it.counter
    it.repeats.append(number)
    it.rounds[number] = recurrences.rounds(over)
    if fresh is not None:
        it.born(fresh, number)
    outer, it.branches = it.branches, 0
    if not it.quiet:
        it.quiet += 1
        with it.taped() as trial:
            changes, _ = it.journal.attempt(action)
        it.quiet -= 1
        # What the iteration before made and froze is another object than what this one makes.
        it.facts.froze.extend(event for event in walk(trial) if isinstance(event, Freeze))
        it.journal.join([{}, changes])
        it.carry((value for _, value in changes.values()), number)
    with it.taped() as tape:
        changes, _ = it.journal.attempt(action)
    it.branches = outer
    it.repeats.pop()
    it.journal.join([{}, changes])
    if tape:
        it.tape.append(Repeat(tape, it.place(at), number, over, it.frame.function, hint, target))


def _drop_exit(tape: list[Node]) -> None:
    """An unrolled iteration ends in the open: its `continue` or `break` leads nowhere else."""
    if tape and isinstance(tape[-1], Exit) and tape[-1].kind in ("continue", "break"):
        tape.pop()
