"""Events that surely happen one after the other: not split by a branch, not in another loop."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.events import Branch, Event, Exit, Node, Repeat, Run
from gradlint.facts.model import TrainingFacts


def straight(nodes: list[Node]) -> Iterator[list[Event]]:
    """For each block of a tree (a run, a loop's body, an arm) the events that happen whenever it is entered."""
    inner: list[list[Node]] = []
    yield list(_direct(nodes, inner))
    for block in inner:
        yield from straight(block)


def certain(nodes: list[Node]) -> list[Event]:
    """The events that happen whenever a tree is run, bodies of loops included."""
    found: list[Event] = []
    for node in nodes:
        if isinstance(node, Event):
            found.append(node)
        elif not isinstance(node, (Branch, Exit)):
            found.extend(certain(node.body))
    return found


def before(facts: TrainingFacts, run: Run) -> list[Node]:
    """What has happened when a function or method of the file is called: the script itself, then its object's
    constructor.
    """
    found: list[Node] = []
    owner = run.name.rpartition(".")[0]
    for other in facts.runs:
        if other is not run and other.name in ("<module>", f"{owner}.__init__"):
            found.extend(other.tree)
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
