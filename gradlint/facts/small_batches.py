"""How many samples a batch has at least, and which calls of a module get whole batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradlint.facts import code
from gradlint.facts.events import Forward, Repeat, walk
from gradlint.facts.loaders import TrainingLoader
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Constant, Steps, Value, integer

_MOVES = frozenset({"to", "cuda", "cpu", "float", "double", "half", "long", "contiguous"})


def least_batch(found: TrainingLoader) -> tuple[int, str] | None:
    """The size of the smallest batch that a loader surely gives, and why; None where it is not known."""
    if found.given("batch_sampler") is not None or found.given("sampler") is not None:
        return None
    given = found.given("batch_size")
    size = 1 if given is None else integer(given)
    if size is None or size < 1:
        return None
    rows = _rows(found.given("dataset"))
    drop = found.given("drop_last")
    kept = drop is None or (isinstance(drop, Constant) and not drop.value)
    if rows is not None and kept and size > 1 and rows > size and rows % size:
        return rows % size, f"last batch: {rows} = {rows // size} × {size} + {rows % size}"
    return size, f"`batch_size={size}`" if given is not None else "a DataLoader's `batch_size` is 1 if none is given"


def _rows(dataset: Value | None) -> int | None:
    """How many samples a data set holds whose tensors are made in sight."""
    if not isinstance(dataset, Steps) or dataset.kind != "tensors" or not dataset.arguments:
        return None
    made = getattr(dataset.arguments[0], "made", None) or {}
    shape = made.get("shape")
    return integer(shape.arguments[0]) if shape is not None and shape.arguments and shape.kind != "randint" else None


def whole_batches(facts: TrainingFacts, loop: Repeat) -> Iterator[Forward]:
    """The calls in a loop over a loader whose first argument is what the loader gives, no part or other shape of it."""
    node = next((n for n in code.walk(facts.program) if isinstance(n, code.For) and n.at == loop.place.at), None)
    if node is None or loop.place.path != facts.path:
        return
    given = {part.name for part in code.walk(node.target) if isinstance(part, code.Name)}
    for part in code.walk(node.body):
        if isinstance(part, code.Assign) and not _moved(part):
            given -= {name.name for target in part.targets for name in code.walk(target) if isinstance(name, code.Name)}
    calls = {part.at: part for part in code.walk(node.body) if isinstance(part, code.Call)}
    for event in walk(loop.body):
        if isinstance(event, Forward) and event.place.path == facts.path:
            call = calls.get(event.place.at)
            first = _bare(call.arguments[0].value) if call is not None and call.arguments else None
            if isinstance(first, code.Name) and first.name in given:
                yield event


def single_rows(facts: TrainingFacts, forward: Forward) -> bool:
    """Whether a call's first argument is `x.unsqueeze(0)` or `x[None]`: a batch of one sample."""
    if forward.place.path != facts.path:
        return False
    for part in code.walk(facts.program):
        if isinstance(part, code.Call) and part.at == forward.place.at and part.arguments:
            first = _bare(part.arguments[0].value)
            if isinstance(first, code.Subscript):
                return (
                    len(first.index) == 1 and isinstance(first.index[0], code.Literal) and first.index[0].value is None
                )
            if isinstance(first, code.Call) and isinstance(first.func, code.Attribute):
                zero = [a.value.value for a in first.arguments if isinstance(a.value, code.Literal)]
                return first.func.name == "unsqueeze" and zero == [0]
    return False


def _moved(assignment: code.Assign) -> bool:
    """`x = x.to(device)`, `x, y = x.to(device), y.to(device)`."""
    target, value = assignment.targets[0], assignment.value
    left = target.items if isinstance(target, code.Sequence) else [target]
    right = value.items if isinstance(value, code.Sequence) else [value]
    names = [part.name if isinstance(part, code.Name) else None for part in left]
    return names == [getattr(_bare(part), "name", "") for part in right]


def _bare(expr: Any) -> Any:
    """`x` behind `x.float().to(device)`."""
    while isinstance(expr, code.Call) and isinstance(expr.func, code.Attribute) and expr.func.name in _MOVES:
        expr = expr.func.base
    return expr
