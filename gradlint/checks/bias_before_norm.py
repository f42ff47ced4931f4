"""GL809: a bias that the batch-norm right behind it subtracts again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradlint.diagnostics import Finding, Range
from gradlint.facts import chains
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Layer, constant, integer
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every layer whose output goes to a batch-norm and nowhere else."""
    used = chains.consumers(facts)
    seen: set[object] = set()
    for _, operations in chains.chains(facts):
        for first, norm in pairwise(operations):
            layer = first.subject
            if first.kind not in ("linear", "conv") or not isinstance(layer, Layer) or not chains.is_batch_norm(norm):
                continue
            place = layer.place
            if (
                place is None
                or place.path != facts.path
                or place in seen
                or used[id(first)] > 1
                or not _has_bias(layer)
            ):
                continue
            seen.add(place)
            width = integer(layer.argument(1, "out_features" if first.kind == "linear" else "out_channels"))
            values = {
                "layer": facts.name_of(layer, layer.name),
                "norm": facts.name_of(norm.subject, getattr(norm.subject, "name", "batch-norm")),
                "parameters": width if width is not None else "its",
            }
            yield Finding("bias-before-norm", place.path, Range(*place.at), values)


def _has_bias(layer: Layer) -> bool:
    if not layer.kind.startswith("torch.nn.") or layer.name == "Bilinear" or "**" in layer.keywords:
        return False
    given = layer.argument(2 if "Linear" in layer.name else 7, "bias")
    return given is None or constant(given) is True
