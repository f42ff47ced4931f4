"""GL223: one module with parameters stands several times in a list that is meant to hold copies."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import AttributeWrite, RepeatedInstance, TrainingFacts
from gradlint.facts.registration import has_parameters
from gradlint.facts.values import Collection, Layer, Value, is_module
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every list of modules that is multiplied, or made by a comprehension that names one module."""
    for repeated in facts.repeated:
        several = repeated.count is None or repeated.count > 1
        if several and has_parameters(repeated.module) and not _chosen(facts, repeated):
            values = {
                "expression": repeated.text, "count": repeated.count or "several", "parameters": "parameters",
            }  # fmt: skip
            yield Finding("repeated-module-instance", repeated.place.path, Range(*repeated.place.at), values)


def _chosen(facts: TrainingFacts, repeated: RepeatedInstance) -> bool:
    """Whether the same attribute gets separate modules elsewhere: the code knows both, and shares where it wants to."""
    lists = [write for write in facts.writes if isinstance(write.value, (Collection, Layer))]
    shared = [write for write in lists if repeated.module in _items(write)]
    return any(
        other.owner is write.owner and other.name == write.name and any(map(is_module, _items(other)))
        for write in shared
        for other in lists
        if repeated.module not in _items(other)
    )


def _items(write: AttributeWrite) -> list[Value]:
    if isinstance(write.value, Layer):
        return write.value.children
    return write.value.items if isinstance(write.value, Collection) else []
