"""GL209: a Backward that keeps its graph, and no later Backward or `autograd.grad` of the iteration that walks it."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Backward, Escape, Forward, Run, walk
from gradlint.facts.exclusive import exclusive
from gradlint.facts.interpret.tensors import ancestry, parts
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Constant, Tensor, Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every `retain_graph=True` that stands in a loop or in a function that holds one iteration."""
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, Backward) and _keeps(event) and not _used_again(facts, run, event):
                values = {"loss": event.loss.hint if isinstance(event.loss, Tensor) else "loss"}
                yield Finding("retained-graph", event.place.path, Range(*event.place.at), values)


def _keeps(event: Backward) -> bool:
    flag, second = event.retain_graph, event.create_graph
    if isinstance(second, Constant) and second.value is False:
        second = None
    if not isinstance(flag, Constant) or flag.value is not True or flag.default or second is not None:
        return False
    return isinstance(event.loss, Tensor) and bool(event.loss.roots)


def _may_reach(loss: object, graph: set[int]) -> bool:
    """Whether a backward from `loss` walks the graph, or may do so unseen."""
    return not isinstance(loss, Tensor) or loss.mystery or bool(graph & ancestry(loss).keys())


def _used_again(facts: TrainingFacts, run: Run, event: Backward) -> bool:
    """Whether something else walks the graph of `event`, before or after it, or may do so unseen."""
    graph = {key for key, part in ancestry(event.loss).items() if _inner(part)}
    loops = repeats_around(run.tree, event)
    scope = loops[-1].body if loops else run.tree
    inside = {id(other) for other in walk(scope)}
    forwards = [e for e in run.events if isinstance(e, Forward) and graph & {id(part) for part in parts([e.result])}]
    if not forwards or any(id(forward) not in inside for forward in forwards):
        return True
    for other in walk(scope):
        if (
            isinstance(other, Backward)
            and other is not event
            and _may_reach(other.loss, graph)
            and not exclusive(scope, event, other)
        ):
            return True
        if isinstance(other, Escape) and any(graph & ancestry(value).keys() for value in other.values):
            return True
    for call in facts.calls:
        # A function that several runs enter has its calls kept once: then the place decides.
        if (call.name == "torch.autograd.grad" and call.arguments) and (
            call.function == event.function or graph & ancestry(call.arguments[0]).keys()
        ):
            return True
    around = {loop.number for loop in loops}
    return any(
        graph & ancestry(carried.state).keys() and (not around or around.intersection(carried.loops))
        for carried in facts.carried
    )


def _inner(part: Value) -> bool:
    return not (isinstance(part, Tensor) and part.parameter)
