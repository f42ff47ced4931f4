"""GL206: a Module that is given layers or parameters before its parent's constructor has run."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import AttributeWrite, TrainingFacts
from gradlint.facts.values import Instance, Tensor, is_module
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Report the first such assignment of each module class."""
    seen: set[int] = set()
    for write in facts.writes:
        owner = write.owner
        if not isinstance(owner, Instance) or owner.kind not in ("module", "lightning") or write.ready is not False:
            continue
        if id(owner.cls) in seen or owner.cls.opaque or not _registers(write):
            continue
        seen.add(id(owner.cls))
        later = any(other.owner is owner and other.ready for other in facts.writes)
        values = {"module": owner.name, "attribute": write.name, "when": "before" if later else "without"}
        yield Finding("missing-super-init", write.place.path, Range(*write.place.at), values)


def _registers(write: AttributeWrite) -> bool:
    return is_module(write.value) or (isinstance(write.value, Tensor) and write.value.parameter)
