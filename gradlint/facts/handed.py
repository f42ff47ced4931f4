"""Whether something was given to code that cannot be seen, which may then step, clear or replace it."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.events import Branch, Call, Escape, Exit, Node, Repeat, Within, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Scheduler, Value


def handed(facts: TrainingFacts, value: Value) -> bool:
    """Whether any way into the file gives `value` away: to an unseen callee, a framework or an unseen caller."""
    for run in facts.runs:
        if any(isinstance(e, Escape) and relations.takes(e, value) for e in walk(run.tree)):
            return True
        # The outermost call of a run is the function that nobody visibly calls.
        body = run.tree[0].body if len(run.tree) == 1 and isinstance(run.tree[0], Call) else []
        if any(relations.holds(given, value) for given in _returned(body)):
            return True
    for call in facts.calls:
        if call.name.startswith("torch.") or isinstance(call.result, Scheduler):
            continue
        if any(relations.holds(given, value) for given in (*call.arguments, *call.keywords.values())):
            return True
    return False


def _returned(nodes: list[Node]) -> list[Value]:
    found: list[Value] = []
    for node in nodes:
        if isinstance(node, Exit) and node.value is not None:
            found.append(node.value)
        elif isinstance(node, Branch):
            for arm in node.arms:
                found.extend(_returned(arm))
        elif isinstance(node, (Repeat, Within)):
            found.extend(_returned(node.body))
    return found
