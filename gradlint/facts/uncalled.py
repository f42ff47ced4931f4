"""Functions that only another file can call, and then with an optimizer of its own."""

from __future__ import annotations

from gradlint.facts import code
from gradlint.facts.events import Run
from gradlint.facts.model import TrainingFacts


def uncalled(facts: TrainingFacts, run: Run) -> bool:
    """Whether a run is of a plain function or method that the file names nowhere but in its own body."""
    owner, _, name = run.name.rpartition(".")
    found = [f for f in facts.functions if f.name == run.name and f.place.path == run.path and not f.called]
    if not found or name.startswith("__"):
        return False
    if owner and not all(f.owner is not None and not f.owner.externals() and not f.owner.opaque for f in found):
        return False
    nodes = facts.nodes
    own = [node for node in nodes if isinstance(node, code.Function) and node.name == name]
    if not own or any(node.decorators for node in own):
        return False
    inside = {id(part) for node in own for part in code.walk(node.body)}
    return not any(_names(node, name) for node in nodes if id(node) not in inside)


def _names(node: object, name: str) -> bool:
    if isinstance(node, (code.Name, code.Attribute)):
        return node.name == name
    return isinstance(node, code.Literal) and node.value == name
