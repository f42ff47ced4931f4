"""GL221: a plain tensor that a module keeps and its forward reads."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import ModuleDef, TrainingFacts
from gradlint.facts.values import Tensor
from gradlint.options import Options

_MOVES = frozenset({"to", "cuda", "type_as", "cpu"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every tensor that a constructor made and stored."""
    for definition in facts.modules:
        if {"_apply", "to", "cuda"} & definition.cls.attributes.keys():
            continue
        for write in facts.writes:
            if write.owner is not definition.instance or not write.function.endswith("__init__"):
                continue
            if _plain(write.value) and _read(facts, definition, write.name, write.value):
                values = {"attribute": write.name, "module": definition.instance.name}
                yield Finding("tensor-not-registered", write.place.path, Range(*write.place.at), values)


def _plain(value: object) -> bool:
    return (
        isinstance(value, Tensor) and not value.parameter and not value.roots and not value.mystery and not value.cuts
    )


def _read(facts: TrainingFacts, definition: ModuleDef, name: str, value: object) -> bool:
    if definition.instance.attributes.get(name) is not value or name not in definition.reads:
        return False
    return not facts.uses.get(name, frozenset()) & _MOVES
