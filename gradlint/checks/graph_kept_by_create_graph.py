"""GL226: gradients that keep their graph since they are zeroed by hand, and outputs that a forward or hook collects."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Accumulate, Backward, Run, ZeroGrad
from gradlint.facts.model import AttributeWrite, TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.roles import last_name
from gradlint.facts.values import Constant, Place
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every `create_graph=True` with its clearing, and every container that a forward or hook fills."""
    for run in facts.runs:
        events = run.events
        clears = [event for event in events if isinstance(event, ZeroGrad)]
        for event in events:
            if isinstance(event, Backward) and _doubled(event) and clears and all(clear.in_place for clear in clears):
                if _once(facts, run, event, clears):
                    continue
                reason = "the gradients are zeroed in place, so they keep the graph that made them"
                yield _finding(event, "backward(create_graph=True)", reason)
            elif isinstance(event, Accumulate) and _collects(facts, event):
                if event.within == "hook" and not any(isinstance(other, Backward) for other in events):
                    continue
                where = "the forward" if event.within == "forward" else "the hook"
                yield _finding(
                    event, f"{event.name}.{event.how}(…)", f"{where} adds a tensor with its graph at each call"
                )


def _once(facts: TrainingFacts, run: Run, event: Backward, clears: list[ZeroGrad]) -> bool:
    """Whether the function of a backward outside loops builds what is cleared, as a test does."""
    if repeats_around(run.tree, event):
        return False
    owners = [owner for clear in clears for owner in relations.owners(clear.target) or []]
    return any(_function(facts, getattr(owner, "place", None)) == event.function for owner in owners)


def _function(facts: TrainingFacts, place: Place | None) -> str:
    """The function that begins last before a place."""
    if place is None:
        return ""
    before = [f for f in facts.functions if f.place.path == place.path and f.place.at[0] <= place.at[0]]
    return max(before, key=lambda fact: fact.place.at[0]).name if before else ""


def _doubled(event: Backward) -> bool:
    flag = event.create_graph
    return isinstance(flag, Constant) and flag.value is True and not flag.default


def _collects(facts: TrainingFacts, event: Accumulate) -> bool:
    if (
        event.within == "loop"
        or not event.outlives
        or event.how in ("sum", "item")
        or not event.tensor.roots
        or event.tensor.parameter
    ):
        return False
    name = last_name(event.name)
    if facts.uses.get(name, frozenset()) & {"clear", "pop", "popleft", "remove"}:
        return False
    return not any(_renewed(write, name) for write in facts.writes)


def _renewed(write: AttributeWrite, name: str) -> bool:
    return write.name == name and not write.function.endswith("__init__")


def _finding(event: Backward | Accumulate, expression: str, reason: str) -> Finding:
    values = {"expression": expression, "reason": reason}
    return Finding("graph-kept-by-create-graph", event.place.path, Range(*event.place.at), values)
