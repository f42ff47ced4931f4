"""GL505: an initialiser of weights that is defined and never reaches a layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.interpret import modules
from gradlint.facts.interpret.initialisers import INITIALISING
from gradlint.facts.interpret.writing import attribute_names
from gradlint.facts.model import CallFact, FunctionFact, TrainingFacts
from gradlint.facts.torch_names import CONTAINERS
from gradlint.facts.values import FunctionValue, Place, is_module
from gradlint.options import Options

_NAMED = re.compile(r"init|reset_param|reset_weight")
_PLAIN = frozenset(f"torch.nn.{name}" for name in ("Module", *CONTAINERS))
"""Bases that call no initialiser of their own; a layer's constructor calls `reset_parameters`."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the initialisers that a file which trains never calls, and those whose type test no module passes."""
    for function in facts.functions:
        if facts.optimizers and _forgotten(function) and not _for_others(facts, function):
            yield _finding(function.name, function.place, "nothing calls it")
    seen = set()
    for call in facts.calls:
        applied = call.argument(0, "fn")
        if call.name == "Module.apply" and isinstance(applied, FunctionValue) and _misses(facts, call, applied):
            place = Place(applied.scope.path, applied.node.at or call.place.at)
            if place.path == facts.path and place not in seen:
                seen.add(place)
                yield _finding(applied.name, place, "no module it is applied to passes its type test")


def _finding(name: str, place: Place, reason: str) -> Finding:
    values = {"function": name.rpartition(".")[2], "reason": reason}
    return Finding("init-never-applied", place.path, Range(*place.at), values)


def _forgotten(function: FunctionFact) -> bool:
    if function.called or function.mentioned or not function.sets_weights:
        return False
    if not _NAMED.search(function.name.rpartition(".")[2]):
        return False
    owner = function.owner
    return owner is None or not (owner.opaque or set(owner.externals()) - _PLAIN)


def _for_others(facts: TrainingFacts, function: FunctionFact) -> bool:
    """Whether another file of the package may call it, or a subclass: a module without a forward is there to extend."""
    owner = function.owner
    name = function.name.rpartition(".")[2]
    if facts.beside(owner.name if owner is not None else name, name):
        return True
    return owner is not None and "torch.nn.Module" in owner.externals() and owner.find("forward") is None


def _misses(facts: TrainingFacts, call: CallFact, applied: FunctionValue) -> bool:
    """Whether `applied` went over every module and set nothing, on any of the times it is applied."""
    if not is_module(call.receiver) or call.receiver is None or not modules.complete(call.receiver):
        return False
    if not INITIALISING & attribute_names(applied.node.body):
        return False
    name = f"{applied.owner.name}.{applied.name}" if applied.owner is not None else applied.name
    return not any(
        fact.place.path == applied.scope.path and fact.function == name
        for fact in facts.calls
        if fact.name.startswith(("torch.nn.init.", "Parameter."))
    )
