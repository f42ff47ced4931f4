"""GL905: a training forward that goes round the DistributedDataParallel wrapper."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.interpret.tensors import ancestry, parts
from gradlint.facts.model import TrainingFacts
from gradlint.facts.updates import updates
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every call round a wrapper by whether a loss that trains was computed from it."""
    graphs = [ancestry(update.loss) for update in updates(facts)] if facts.bypasses else []
    for bypass in facts.bypasses:
        results = {id(part) for part in parts([bypass.result])}
        if any(results & graph.keys() for graph in graphs):
            values: dict[str, str | int | float] = {"call": bypass.callee, "wrapper": bypass.wrapper}
            yield Finding("ddp-bypassed", bypass.place.path, Range(*bypass.place.at), values)
