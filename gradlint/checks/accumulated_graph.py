"""GL210: a total or a container that outlives the iteration takes in tensors with their graphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Accumulate, Backward, OptimizerStep, Repeat, Run, walk
from gradlint.facts.hoarded import hoarded
from gradlint.facts.interpret.tensors import ANCESTORS, ancestry
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Tensor
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every accumulation in a loop that back-propagates."""
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, Accumulate) and _outlives(event):
                loop = _training_loop(run, event)
                if not _unseen(event.tensor) and hoarded(facts, run, event):
                    yield _finding(facts, event)
                    continue
                if loop is None or (_unseen(event.tensor) and not _has_backward(loop, event.tensor)):
                    continue
                if _of_leaves(event, loop) or _back_propagated(run, event, loop):
                    continue
                if not _of_one_step(facts, run, event):
                    yield _finding(facts, event)


def _finding(facts: TrainingFacts, event: Accumulate) -> Finding:
    value = facts.name_of(event.tensor, event.tensor.hint or "a tensor")
    return Finding(
        "accumulated-graph", event.place.path, Range(*event.place.at), {"target": event.name, "value": value}
    )


_COUNT = re.compile(r"count|num(_|$)|^n(_|$)|size|length|samples|tokens|correct|total|step", re.IGNORECASE)
"""Names of what a network may return beside its loss: how much went into it, a number without a graph."""


def _outlives(event: Accumulate) -> bool:
    counted = event.tensor.loss is None and bool(_COUNT.search(event.tensor.hint))
    live = bool(event.tensor.roots) and not event.tensor.parameter and not counted
    return event.outlives and event.within == "loop" and live


def _unseen(tensor: Tensor) -> bool:
    """Whether unseen code stands between the tensor and all that it may hang on: what that code makes of a tensor may
    be a plain number or have no graph.
    """
    if tensor.loss is not None:
        return False
    found: dict[int, Tensor] = {}
    stack = [tensor]
    while stack and len(found) < ANCESTORS:
        part = stack.pop()
        if id(part) in found:
            continue
        found[id(part)] = part
        if part.attribute != "unseen":
            above = [source for source in part.sources if isinstance(source, Tensor)]
            if not part.roots <= frozenset(root for source in above for root in source.roots):
                return False
            stack += [source for source in above if source.roots]
    return any(part.attribute == "unseen" for part in found.values())


def _has_backward(loop: Repeat, tensor: Tensor) -> bool:
    """Whether a backward of the loop starts from the tensor itself: then it has a graph, whatever made it."""
    return any(isinstance(event, Backward) and event.loss is tensor for event in walk(loop.body))


def _training_loop(run: Run, event: Accumulate) -> Repeat | None:
    """The innermost loop around the event, if each of its iterations back-propagates or a framework does it."""
    loops = repeats_around(run.tree, event)
    if not loops:
        return None
    framework = run.managed == "lightning" and len(loops) == 1 and run.name.endswith(".training_step")
    return loops[-1] if framework or any(isinstance(e, Backward) for e in walk(loops[-1].body)) else None


def _of_leaves(event: Accumulate, loop: Repeat) -> bool:
    """Whether a graph ends at tensors that were made leaves, and no backward of the loop goes through it: a loss that
    is put together from gradients computed batch by batch.
    """
    leaves = all(isinstance(root, Tensor) and root.attribute == "leaf" for root in event.tensor.roots)
    return leaves and not any(
        isinstance(other, Backward) and id(event.tensor) in ancestry(other.loss) for other in walk(loop.body)
    )


def _of_one_step(facts: TrainingFacts, run: Run, event: Accumulate) -> bool:
    """Whether a container is made anew for every optimizer step and takes in only the batches accumulated for it."""
    born = facts.born.get(id(event.target))
    *outer, inner = repeats_around(run.tree, event)
    inside = {id(e) for e in walk(inner.body)}
    return any(
        loop.number == born and any(isinstance(e, OptimizerStep) and id(e) not in inside for e in walk(loop.body))
        for loop in outer
    )


def _back_propagated(run: Run, event: Accumulate, loop: Repeat) -> bool:
    """Whether the total itself, or what is in the container, is back-propagated, or may be."""
    wanted = {id(event.tensor)} if event.how == "sum" else {id(event.target)}
    if event.how == "sum" and isinstance(event.target, Tensor):
        wanted.add(id(event.target))
    inside = {id(e) for e in walk(loop.body)}
    for other in run.events:
        if not isinstance(other, Backward):
            continue
        if not isinstance(other.loss, Tensor):
            return True
        above = ancestry(other.loss)
        if wanted & above.keys():
            return True
        if id(other) not in inside and id(event.tensor) in above:
            return True
    return False
