"""Events that surely happen one after the other: not split by a branch, not in another loop."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from gradlint.facts.events import Branch, Call, Event, Exit, Node, Repeat, Run, Within
from gradlint.facts.model import TrainingFacts
from gradlint.facts.record import replace
from gradlint.facts.values import Value


def straight(nodes: list[Node]) -> Iterator[list[Event]]:
    """For each block of a tree (a run, a loop's body, an arm) the events that happen whenever it is entered."""
    inner: list[list[Node]] = []
    yield list(_direct(nodes, inner))
    for block in inner:
        yield from straight(block)


def always(nodes: list[Node]) -> list[Event]:
    """The events of a loop's body that happen in every iteration: those before anything that may end it early."""
    found: list[Event] = []
    for node in nodes:
        if isinstance(node, Event):
            found.append(node)
        elif isinstance(node, Exit) or (isinstance(node, Branch) and _may_leave(node.arms)):
            break
        elif isinstance(node, (Call, Within)):
            # What a callee returns from goes on behind the call.
            found.extend(always(node.body))
            if isinstance(node, Within) and _may_leave([node.body]):
                break
    return found


def _may_leave(arms: list[list[Node]]) -> bool:
    """Whether a `continue`, `break` or `return` stands in any of some blocks, outside of loops and calls in them."""
    for arm in arms:
        for node in arm:
            inner = node.arms if isinstance(node, Branch) else [node.body] if isinstance(node, Within) else []
            if (isinstance(node, Exit) and node.kind != "raise") or _may_leave(inner):
                return True
    return False


def certain(nodes: list[Node]) -> list[Event]:
    """The events that happen whenever a tree is run, bodies of loops included."""
    found: list[Event] = []
    for node in nodes:
        if isinstance(node, Event):
            found.append(node)
        elif not isinstance(node, (Branch, Exit)):
            found.extend(certain(node.body))
    return found


def present(nodes: list[Node], value: Value) -> list[Node]:
    """The tree as it runs where `value` is not None: of `if value is not None:` the arm that this leads to."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Branch):
            arms = [present(arm, value) for arm in node.arms]
            if len(arms) == 2 and node.condition.key == f"{node.condition.text}|{id(value)}":
                found.extend(arms[node.condition.negated])
            else:
                found.append(replace(node, arms=arms))
        elif isinstance(node, (Repeat, Within, Call)):
            found.append(replace(node, body=present(node.body, value)))
        else:
            found.append(node)
    return found


def before(facts: TrainingFacts, run: Run) -> list[Node]:
    """What has happened when a function or method of the file is called: the script itself, then its object's
    constructor.
    """
    owner = run.name.rpartition(".")[0]
    named = _by_name(facts)
    first = [*named.get("<module>", []), *named.get(f"{owner}.__init__", [])]
    return [node for other in first if other is not run for node in other.tree]


@lru_cache(maxsize=1)
def _by_name(facts: TrainingFacts) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in facts.runs:
        found.setdefault(run.name, []).append(run)
    return found


def _direct(nodes: list[Node], inner: list[list[Node]]) -> Iterator[Event]:
    for node in nodes:
        if isinstance(node, Event):
            yield node
        elif isinstance(node, Branch):
            inner.extend(node.arms)
        elif isinstance(node, Repeat):
            inner.append(node.body)
        elif not isinstance(node, Exit):
            yield from _direct(node.body, inner)
