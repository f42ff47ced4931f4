"""Events that never happen in the same iteration."""

from __future__ import annotations

from gradlint.facts.events import Branch, Event, Node
from gradlint.facts.protocol import nodes_around


def exclusive(tree: list[Node], left: Event, right: Event) -> bool:
    """Whether two events stand on different sides of a branch, or of branches on the same condition."""
    sides = dict(_sides(tree, left))
    return any(key in sides and sides[key] != side for key, side in _sides(tree, right))


def _sides(tree: list[Node], wanted: Event) -> list[tuple[str, bool]]:
    """The conditions of the two-armed branches around an event, and whether each holds there."""
    found: list[tuple[str, bool]] = []
    for node in nodes_around(tree, wanted):
        if isinstance(node, Branch) and len(node.arms) == 2:
            first = wanted in node.arms[0] or bool(nodes_around(node.arms[0], wanted))
            found.append((node.condition.key, first is not node.condition.negated))
    return found
