"""What the code does with parts of a module whose inside nobody sees, as a network of an installed package."""

from __future__ import annotations

from gradlint.facts import code
from gradlint.facts.interpret.expressions import text_of
from gradlint.facts.interpret.module_methods import MODULE
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Instance, Layer, Value


def touched_below(facts: TrainingFacts, module: Value) -> bool:
    """Whether the file sets a part of an unseen module, or calls a method of it that is no method of every module."""
    if isinstance(module, Instance) or (isinstance(module, Layer) and module.kind.startswith("torch.nn.")):
        return False
    name = facts.name_of(module, "")
    below = (f"{name}.", f"{name}[")
    for node in facts.nodes_of(code.Assign):
        for target in node.targets:
            if text_of(target).startswith(below) and getattr(target, "name", "") != "requires_grad":
                return True
    for call in facts.nodes_of(code.Call):
        if isinstance(call.func, code.Attribute):
            if text_of(call.func.base) == name and call.func.name not in MODULE:
                return True
        elif text_of(call.func) == "setattr" and call.arguments and text_of(call.arguments[0].value) == name:
            return True
    return False
