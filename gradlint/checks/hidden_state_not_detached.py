"""GL211: a module is given what it computed in an earlier batch, still attached to that batch's graph."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Backward, Branch, Escape, Event, Exit, Node, Repeat, walk
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.model import CarriedState, TrainingFacts
from gradlint.facts.relations import lies_in
from gradlint.facts.roles import carries_graph
from gradlint.facts.values import Tensor
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every state that a loop carries."""
    loops = {loop.number: loop for run in facts.runs for loop in _repeats(run.tree)}
    for carried in facts.carried:
        around = [loops[number] for number in carried.loops if number in loops]
        if _released(facts, carried, around):
            continue
        if any(_walked(loop, carried) for loop in around):
            values = {"state": facts.name_of(carried.state, carried.state.hint or "the state")}
            yield Finding("hidden-state-not-detached", carried.place.path, Range(*carried.place.at), values)


def _released(facts: TrainingFacts, carried: CarriedState, loops: list[Repeat]) -> bool:
    """Whether an iteration puts something without a graph where the state is kept: of some modules, or all of them."""
    above = ancestry(carried.state)
    kept = [write for write in facts.writes if id(write.value) in above]
    names = {write.name for write in kept}
    if any((name, number) in facts.released for name in names for number in carried.loops):
        return True
    clearing = {
        write.function.rpartition(".")[2]
        for write in facts.writes
        if write.name in names and not carries_graph(write.value)
    }
    if any((method, number) in facts.asked for method in clearing for number in carried.loops):
        return True
    given = [
        value for loop in loops for event in walk(loop.body) if isinstance(event, Escape) for value in event.values
    ]
    return any(lies_in(write.owner, value) for write in kept for value in given)


def _walked(loop: Repeat, carried: CarriedState) -> bool:
    """Whether a backward in each iteration walks into the graph of the carried state."""
    for event in walk(loop.body):
        if isinstance(event, Backward) and isinstance(event.loss, Tensor) and id(carried.state) in ancestry(event.loss):
            return True
    return False


def _repeats(nodes: list[Node]) -> Iterator[Repeat]:
    for node in nodes:
        if isinstance(node, Branch):
            for arm in node.arms:
                yield from _repeats(arm)
        elif not isinstance(node, (Event, Exit)):
            if isinstance(node, Repeat):
                yield node
            yield from _repeats(node.body)
