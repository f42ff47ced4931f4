"""Functions that only another file can call, and then with an optimizer of its own."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from gradlint.facts import code
from gradlint.facts.events import Run
from gradlint.facts.model import FunctionFact, TrainingFacts


def uncalled(facts: TrainingFacts, run: Run) -> bool:
    """Whether a run is of a plain function or method that the file names nowhere but in its own body."""
    owner, _, name = run.name.rpartition(".")
    found = [f for f in _of_name(facts).get(run.name, []) if f.place.path == run.path and not f.called]
    if not found or name.startswith("__"):
        return False
    if owner and not all(f.owner is not None and not f.owner.externals() and not f.owner.opaque for f in found):
        return False
    functions, mentioned = _index(facts)
    own = functions.get(name, [])
    if not own or any(node.decorators for node in own):
        return False
    inside = {id(part): part for node in own for part in code.walk(node.body)}
    return mentioned[name] == sum(_named(part) == name for part in inside.values())


@lru_cache(maxsize=1)
def _of_name(facts: TrainingFacts) -> dict[str, list[FunctionFact]]:
    found: dict[str, list[FunctionFact]] = {}
    for function in facts.functions:
        found.setdefault(function.name, []).append(function)
    return found


@lru_cache(maxsize=1)
def _index(facts: TrainingFacts) -> tuple[dict[str, list[code.Function]], Counter[object]]:
    """The functions of a file by name, and how often it mentions each name, as a string too."""
    functions: dict[str, list[code.Function]] = {}
    for node in facts.nodes:
        if isinstance(node, code.Function):
            functions.setdefault(node.name, []).append(node)
    return functions, Counter(_named(node) for node in facts.nodes)


def _named(node: object) -> object:
    if isinstance(node, (code.Name, code.Attribute)):
        return node.name
    return node.value if isinstance(node, code.Literal) else None
