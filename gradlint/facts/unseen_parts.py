"""What the code does with parts of a module whose inside nobody sees, as a network of an installed package."""

from __future__ import annotations

from gradlint.facts import code
from gradlint.facts.interpret.module_methods import MODULE
from gradlint.facts.interpret.writing import text_of
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Instance, Layer, Place, Value


def touched_below(facts: TrainingFacts, module: Value, since: Place) -> bool:
    """Whether the file, behind a place, sets a part of an unseen module or calls a method that not every module has."""
    if isinstance(module, Instance) or (isinstance(module, Layer) and module.kind.startswith("torch.nn.")):
        return False
    name = facts.name_of(module, "")
    below = (f"{name}.", f"{name}[")
    first = since.at[0] if since.path == facts.path else 0
    for node in facts.nodes_of(code.Assign):
        if node.at is None or node.at[0] <= first:
            continue
        for target in node.targets:
            if text_of(target).startswith(below) and getattr(target, "name", "") != "requires_grad":
                return True
    for call in facts.nodes_of(code.Call):
        if call.at is None or call.at[0] <= first:
            continue
        if isinstance(call.func, code.Attribute):
            if text_of(call.func.base) == name and call.func.name not in MODULE:
                return True
        elif text_of(call.func) == "setattr" and call.arguments and text_of(call.arguments[0].value) == name:
            return True
    return False
