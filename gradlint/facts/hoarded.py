"""Lists that are filled and gone back through in every round of a loop, and that nothing ever empties."""

from __future__ import annotations

from gradlint.facts import code, relations
from gradlint.facts.events import Accumulate, Backward, Escape, Repeat, Run, repeats, walk
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.interpret.writing import attribute_names
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.roles import last_name
from gradlint.facts.values import Collection, Steps, Value

_EMPTYING = frozenset({"clear", "pop", "popleft", "remove"})


def hoarded(facts: TrainingFacts, run: Run, event: Accumulate) -> bool:
    """Whether a list takes in a tensor whose graph the same round frees, and the next round goes through it again."""
    target = event.target
    if event.how != "append" or not isinstance(target, Collection) or target.kind != "list":
        return False
    around = repeats_around(run.tree, event)
    born = facts.born.get(id(target))
    if born is not None and any(loop.number == born for loop in around):
        return False
    if not any(_goes_back(loop, event) for loop in around) or _emptied(facts, last_name(event.name)):
        return False
    return not any(isinstance(e, Escape) and any(relations.holds(v, target) for v in e.values) for e in run.events)


def _goes_back(loop: Repeat, event: Accumulate) -> bool:
    """Whether a loop goes back through all of the list: what it computes of it whole, or item by item."""
    target = event.target
    for backward in walk(loop.body):
        if isinstance(backward, Backward) and backward.tensor is not None and backward.retain_graph is None:
            above = ancestry(backward.tensor)
            whole = id(target) in above or any(_over(inner.over, target) for inner in repeats(loop.body))
            if whole and id(event.tensor) in above:
                return True
    return False


def _over(over: Value | None, target: Value | None) -> bool:
    if isinstance(over, Steps) and over.kind in ("zip", "enumerate", "reversed"):
        return any(_over(part, target) for part in over.arguments)
    return over is target


def _emptied(facts: TrainingFacts, name: str) -> bool:
    """Whether the file takes anything out of something of that name, deletes of it or puts another in its place."""
    if facts.uses.get(name, frozenset()) & _EMPTYING:
        return True
    if any(write.name == name and not write.function.endswith("__init__") for write in facts.writes):
        return True
    if any(name in attribute_names(node.targets) for node in facts.nodes_of(code.Delete)):
        return True
    assigned = [t for node in facts.nodes_of(code.Assign) for t in node.targets if name in attribute_names(t)]
    return len(assigned) > 1 or any(isinstance(target, code.Subscript) for target in assigned)
