"""GL220: the same parameters twice in one optimizer, or in two that are stepped one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Backward, Event, OptimizerStep, ZeroGrad
from gradlint.facts.holding import bases, related
from gradlint.facts.model import TrainingFacts
from gradlint.facts.sequence import straight
from gradlint.facts.values import Optimizer, Parameters, Place, Unknown, Value
from gradlint.options import Options

_RAISES = "building it raises an error"
_TWICE = "each step updates them twice"


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every optimizer, every group added to one, and every pair that steps in the same iteration."""
    added = [call for call in facts.calls if call.name == "Optimizer.add_param_group" and call.arguments]
    for optimizer in facts.optimizers:
        later = {id(base) for call in added if call.receiver is optimizer for base in bases(call.arguments[0])}
        own = [base for base in _whole(optimizer) if id(base) not in later and not _of_a_loop(base)]
        shared = next((a for i, a in enumerate(own) for b in own[i + 1 :] if related(a, b)), None)
        if shared is not None and optimizer.known and not optimizer.alternatives:
            yield _finding(facts, optimizer.place, shared, "one group", "another", _RAISES)
    for call in added:
        if isinstance(call.receiver, Optimizer):
            new = list(bases(call.arguments[0]))
            old = [base for base in _whole(call.receiver) if not any(base is n for n in new)]
            shared = next((n for n in new for o in old if related(n, o)), None)
            if shared is not None:
                yield _finding(facts, call.place, shared, "the optimizer", "this group", "it raises an error")
    for first, second, events in _stepped_together(facts):
        shared = next((a for a in _whole(first) for b in _whole(second) if related(a, b)), None)
        if shared is not None and not _in_turn(events, first, second, shared):
            names = facts.name_of(first, "one optimizer"), facts.name_of(second, "another")
            yield _finding(facts, second.place, shared, *names, _TWICE)


def _whole(optimizer: Optimizer) -> list[Value]:
    """What it surely holds all of: a set that left out what was frozen may share nothing with another one."""
    parts = [p for p in optimizer.parameters if not (isinstance(p, Parameters) and p.filtered)]
    return [base for part in parts for base in bases(part)]


def _of_a_loop(base: Value) -> bool:
    """Whether a base stands for another module in each round of the loop that collects them."""
    return isinstance(base, Unknown) and base.origin == "item"


def _in_turn(events: list[Event], first: Optimizer, second: Optimizer, shared: Value) -> bool:
    """Whether each of two optimizers has a loss of its own for what they share, and clears between; two over the same
    network are no such pair.
    """
    if {id(base) for base in _whole(first)} == {id(base) for base in _whole(second)}:
        return False
    steps = [i for i, e in enumerate(events) if isinstance(e, OptimizerStep) and e.optimizer in (first, second)]
    if len(steps) != 2 or not any(isinstance(e, ZeroGrad) for e in events[steps[0] : steps[1]]):
        return False
    losses = [e for e in events if isinstance(e, Backward) and e.tensor is not None]
    own = [e for e in losses if e.tensor and any(relations.overlap(r, shared) is not False for r in e.tensor.roots)]
    return any(e in events[: steps[0]] for e in own) and any(e in events[steps[0] : steps[1]] for e in own)


def _stepped_together(facts: TrainingFacts) -> Iterator[tuple[Optimizer, Optimizer, list[Event]]]:
    for run in facts.runs:
        for events in straight(run.tree):
            steps = [event for event in events if isinstance(event, OptimizerStep)]
            # Several optimizers stepped by one call are alternatives.
            alone = [e for e in steps if not any(e.place == o.place and e.optimizer is not o.optimizer for o in steps)]
            stepped = dict.fromkeys(event.optimizer for event in alone)
            known = sorted((o for o in stepped if isinstance(o, Optimizer) and o.known), key=lambda o: o.place.at)
            yield from ((a, b, events) for i, a in enumerate(known) for b in known[i + 1 :] if a.place != b.place)


def _finding(facts: TrainingFacts, place: Place, shared: Value, first: str, second: str, effect: str) -> Finding:
    name = facts.name_of(shared, getattr(shared, "name", "") or getattr(shared, "hint", "") or "a module")
    values = {"module": name, "first": first, "second": second, "effect": effect}
    return Finding("duplicate-parameters", place.path, Range(*place.at), values)
