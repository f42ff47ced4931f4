"""GL808: two Linear layers with nothing between them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradlint.diagnostics import Finding, Range
from gradlint.facts import chains, code
from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.torch_names import REDUCTIONS, SHAPING
from gradlint.facts.values import Instance, Layer, Value, integer
from gradlint.options import Options

_REARRANGE = (REDUCTIONS | SHAPING | {"matmul", "einsum", "rearrange"}) - {
    "squeeze",
    "unsqueeze",
    "contiguous",
    "to",
    "t",
    "T",
}


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every Linear whose input is what another Linear of the same class gave, and nobody else uses."""
    used = chains.consumers(facts)
    seen: set[object] = set()
    for owner, operations in chains.chains(facts):
        for first, second in pairwise(operations):
            before, after = first.subject, second.subject
            if not _plain(before) or not _plain(after) or used[id(first)] > 1 or not _widens(before, after):
                continue
            assert isinstance(before, Layer)
            assert isinstance(after, Layer)
            together = _sequential(owner, before, after)
            if not together and not _neighbours(owner, before, after):
                continue
            place = after.place if together and after.place is not None else second.place
            if place in seen or place.path != facts.path:
                continue
            seen.add(place)
            yield Finding("stacked-linear", place.path, Range(*place.at), _values(facts, before, after))


def _plain(value: Value | None) -> bool:
    return isinstance(value, Layer) and value.kind == "torch.nn.Linear"


def _widths(layer: Layer) -> tuple[int | None, int | None]:
    return integer(layer.argument(0, "in_features")), integer(layer.argument(1, "out_features"))


def _widens(before: Value | None, after: Value | None) -> bool:
    """Whether what lies between is surely no bottleneck: at least as wide as one of its sides."""
    assert isinstance(before, Layer)
    assert isinstance(after, Layer)
    (source, middle), (_, target) = _widths(before), _widths(after)
    return middle is not None and any(side is not None and middle >= side for side in (source, target))


def _sequential(owner: Value, before: Layer, after: Layer) -> bool:
    """Whether one Sequential holds both, side by side."""
    sequences = [part.children for part in modules.walk(owner) if isinstance(part, Layer) and part.name == "Sequential"]
    return any(a is before and b is after for children in sequences for a, b in pairwise(children))


def _neighbours(owner: Value, before: Layer, after: Layer) -> bool:
    """Whether one class applies both in a forward that neither rearranges, reduces nor changes tensors in place."""
    for part in modules.walk(owner):
        if not isinstance(part, Instance):
            continue
        held = {id(layer) for layer in _own(part)}
        if id(before) in held and id(after) in held:
            hit = part.cls.find("forward")
            names = (
                {getattr(node, "name", "") for node in code.walk(getattr(getattr(hit[0], "node", None), "body", []))}
                if hit
                else {""}
            )
            return not names & _REARRANGE and not any(name and name.endswith("_") for name in names)
    return False


def _own(part: Instance) -> Iterator[Value]:
    """The layers of a module that no module class below it holds."""
    waiting = [child for _, child in modules.children(part)]
    while waiting:
        child = waiting.pop()
        if isinstance(child, Layer):
            yield child
            waiting.extend(grandchild for _, grandchild in modules.children(child))


def _values(facts: TrainingFacts, before: Layer, after: Layer) -> dict[str, str | int]:
    return {
        "first": facts.name_of(before, "Linear"),
        "second": facts.name_of(after, "Linear"),
        "in_features": _widths(before)[0] or "its inputs",
        "out_features": _widths(after)[1] or "its outputs",
    }
