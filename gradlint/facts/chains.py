"""The operations of each forward in order, and what follows what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Layer, Operation, Value, number

_LENGTH = 4000


def chains(facts: TrainingFacts) -> Iterator[tuple[Value, list[Operation]]]:
    """Every module with the operations of one of its outputs, first to last."""
    for stack in facts.stacks:
        found: list[Operation] = []
        last: Operation | None = stack.last
        while last is not None and len(found) < _LENGTH:
            found.append(last)
            last = last.previous
        yield stack.owner, found[::-1]


def consumers(facts: TrainingFacts) -> Counter[int]:
    """How many operations and outputs use the result of each operation, by identity."""
    found: Counter[int] = Counter()
    seen: set[int] = set()
    ends = {id(stack.last): stack.last for stack in facts.stacks}
    found.update(list(ends))
    waiting = list(ends.values())
    while waiting:
        operation = waiting.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        for before in (operation.previous, operation.branch):
            if before is not None:
                found[id(before)] += 1
                waiting.append(before)
    return found


def dropout_rate(operation: Operation) -> float | None:
    """The share of values that a dropout zeroes in training; None for another operation, or where it is not known."""
    layer = operation.subject
    if operation.kind != "dropout" or not isinstance(layer, Layer):
        return None
    given = layer.argument(0, "p")
    return 0.5 if given is None else number(given)


def is_batch_norm(operation: Operation) -> bool:
    """Whether an operation is a batch-norm layer."""
    return isinstance(operation.subject, Layer) and "BatchNorm" in operation.subject.name
