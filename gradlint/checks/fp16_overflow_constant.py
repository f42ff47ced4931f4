"""GL713: a constant beyond the range of float16 on a tensor that is float16."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Say what each such constant becomes."""
    for found in facts.half_constants:
        if found.place.path != facts.path:
            continue
        if abs(found.number) < 1:
            becomes, replacement = "0", "at least 1e-6, or float32"
        else:
            becomes = "−∞" if found.number < 0 else "∞"
            replacement = "`torch.finfo(x.dtype).min`" if found.number < 0 else "at most 65504, or float32"
        values = {"constant": f"{found.number:g}", "becomes": becomes, "replacement": replacement}
        yield Finding("fp16-overflow-constant", found.place.path, Range(*found.place.at), values)
