"""GL808: two Linear layers with nothing between them but dropout."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradlint.diagnostics import Finding, Range
from gradlint.facts import chains, code
from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.torch_names import REDUCTIONS, SHAPING
from gradlint.facts.values import Instance, Layer, Operation, Value, integer
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
        for first, second in pairwise(o for o in operations if not _drops(o.subject)):
            before, after = first.subject, second.subject
            if not _plain(before) or not _plain(after) or used[id(first)] > 1 or not _widens(before, after):
                continue
            assert isinstance(before, Layer)
            assert isinstance(after, Layer)
            together = _sequential(owner, before, after)
            if not together and not _neighbours(owner, first, second):
                continue
            place = after.place if together and after.place is not None else second.place
            if place in seen or place.path != facts.path:
                continue
            seen.add(place)
            yield Finding("stacked-linear", place.path, Range(*place.at), _values(facts, before, after))


def _drops(value: Value | None) -> bool:
    return isinstance(value, Layer) and value.kind.startswith("torch.nn.Dropout")


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
    """Whether one Sequential holds both, side by side or with dropout between them."""
    sequences = [part.children for part in modules.walk(owner) if isinstance(part, Layer) and part.name == "Sequential"]
    kept = [[c for c in children if not _drops(c)] for children in sequences]
    return any(a is before and b is after for children in kept for a, b in pairwise(children))


def _neighbours(owner: Value, first: Operation, second: Operation) -> bool:
    """Whether one class applies both in a forward that neither rearranges, reduces nor changes tensors in between."""
    before, after = first.subject, second.subject
    for part in modules.walk(owner):
        if not isinstance(part, Instance):
            continue
        held = {id(layer) for layer in _own(part)}
        if id(before) in held and id(after) in held:
            hit = part.cls.find("forward")
            body = getattr(getattr(hit[0], "node", None), "body", []) if hit else []
            direct = {id(child) for _, child in modules.children(part)} >= {id(before), id(after)}
            nodes = [node for node in code.walk(body) if not (direct and _outside(node, first, second))]
            names = {getattr(node, "name", "") for node in nodes}
            return bool(body) and not names & _REARRANGE and not any(name and name.endswith("_") for name in names)
    return False


def _outside(node: object, first: Operation, second: Operation) -> bool:
    """Whether a piece of a forward surely stands before the first of two calls, in its arguments, or behind both."""
    at = getattr(node, "at", None)
    if at is None or first.place.at[:2] > second.place.at[2:] or first.place.path != second.place.path:
        return False
    begin, end = at[:2], at[2:]
    inside_first = first.place.at[:2] <= begin and end <= first.place.at[2:]
    inside_second = second.place.at[:2] <= begin and end <= second.place.at[2:]
    return inside_first or begin > second.place.at[2:] or (end < first.place.at[:2] and not inside_second)


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
