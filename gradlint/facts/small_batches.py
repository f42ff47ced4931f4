"""How many samples a batch has at least, and which calls of a module get whole batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from gradlint.facts import code
from gradlint.facts.code import Span
from gradlint.facts.events import Forward, Repeat, walk
from gradlint.facts.loaders import TrainingLoader
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Constant, FunctionValue, Steps, Value, integer

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
    node = next((n for n in facts.nodes if isinstance(n, code.For) and n.at == loop.place.at), None)
    if node is None or loop.place.path != facts.path:
        return
    given = {part.name for part in code.walk(node.target) if isinstance(part, code.Name)}
    pairs = [pair for part in code.walk(node.body) if isinstance(part, code.Assign) for pair in _pairs(part)]
    given |= {name for name, source in pairs if source in given}
    given -= {name for name, source in pairs if source not in given}
    calls = [part for part in code.walk(node.body) if isinstance(part, code.Call) and _first(part) in given]
    calls.extend(part for call in list(calls) for part in _handed_on(facts, call))
    places = {call.at for call in calls}
    for event in walk(loop.body):
        if isinstance(event, Forward) and event.place.path == facts.path and event.place.at in places:
            yield event


def _first(call: code.Call) -> str:
    """The name of a call's first argument, if it keeps its rows."""
    first = _bare(call.arguments[0].value) if call.arguments else None
    return first.name if isinstance(first, code.Name) else ""


def _handed_on(facts: TrainingFacts, call: code.Call) -> Iterator[code.Call]:
    """The calls in a method, as `model.loss(words)`, that get its first argument as it came."""
    method = call.func.name if isinstance(call.func, code.Attribute) else ""
    found = [part for part in facts.nodes if isinstance(part, code.Function) and part.name == method]
    if len(found) != 1 or len(found[0].parameters) < 2:
        return
    name = found[0].parameters[1].name
    written = [pair[0] for part in code.walk(found[0].body) if isinstance(part, code.Assign) for pair in _pairs(part)]
    if name not in written:
        yield from (part for part in code.walk(found[0].body) if isinstance(part, code.Call) and _first(part) == name)


def single_rows(facts: TrainingFacts, forward: Forward) -> bool:
    """Whether a call's first argument is `x.unsqueeze(0)` or `x[None]`: a batch of one sample."""
    if forward.place.path != facts.path:
        return False
    part = _calls(facts).get(forward.place.at)
    first = _bare(part.arguments[0].value) if part is not None else None
    if isinstance(first, code.Subscript):
        return len(first.index) == 1 and isinstance(first.index[0], code.Literal) and first.index[0].value is None
    if isinstance(first, code.Call) and isinstance(first.func, code.Attribute):
        zero = [a.value.value for a in first.arguments if isinstance(a.value, code.Literal)]
        return first.func.name == "unsqueeze" and zero == [0]
    return False


@lru_cache(maxsize=1)
def _calls(facts: TrainingFacts) -> dict[Span, code.Call]:
    """The calls of a file that take something, by where they stand."""
    return {n.at: n for n in facts.nodes if isinstance(n, code.Call) and n.at is not None and n.arguments}


def _pairs(assignment: code.Assign) -> Iterator[tuple[str, str]]:
    """The names that are written, each with the name it keeps the rows of: `x, y = x.to(device), y.to(device)`."""
    for target in assignment.targets:
        left = target.items if isinstance(target, code.Sequence) else [target]
        value = assignment.value
        right = value.items if isinstance(value, code.Sequence) and len(value.items) == len(left) else []
        for index, part in enumerate(left):
            source = _bare(right[index] if right else value) if right or len(left) == 1 else None
            if isinstance(part, code.Name):
                yield part.name, source.name if isinstance(source, code.Name) else ""


def _bare(expr: Any) -> Any:
    """`x` behind `x.float().to(device)`, `x + noise` and `x[:, 1:]`: what keeps its rows."""
    while True:
        if isinstance(expr, code.Call) and isinstance(expr.func, code.Attribute) and expr.func.name in _MOVES:
            expr = expr.func.base
        elif isinstance(expr, code.Binary) and expr.op in ("+", "-", "/"):
            expr = expr.left
        elif isinstance(expr, code.Subscript) and _all_rows(expr.index[0]):
            expr = expr.base
        else:
            return expr


def _all_rows(index: Any) -> bool:
    return isinstance(index, code.Slice) and index.lower is None and index.upper is None and index.step is None


def stacks_rows(found: TrainingLoader) -> bool:
    """Whether a loader surely puts the samples along the first axis: by itself or `pad_sequence(batch_first=True)`."""
    collate = found.given("collate_fn")
    if collate is None:
        size = found.given("batch_size")
        return not (isinstance(size, Constant) and size.value is None)
    body = getattr(collate.node, "body", None) if isinstance(collate, FunctionValue) else None
    return any(
        isinstance(node, code.Call)
        and getattr(node.func, "name", "") == "pad_sequence"
        and any(a.name == "batch_first" and getattr(a.value, "value", None) is True for a in node.arguments)
        for node in code.walk(body)
    )
