"""How often an optimizer steps in sight: in a training loop, once to show or compare it, or somewhere else."""

from __future__ import annotations

from gradlint.facts.events import Construct, Event, Exit, OptimizerStep, Repeat, Run
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Optimizer, Value


def trains(facts: TrainingFacts, optimizer: Optimizer) -> bool | None:
    """Whether an optimizer is stepped again and again after it was built; None if no step of it is in sight, or none
    that shares a way into the code with its construction.
    """
    found: bool | None = None
    for run in facts.runs:
        events = run.events
        steps = [e for e in events if isinstance(e, OptimizerStep) and _same(e.optimizer, optimizer)]
        built = [e for e in events if isinstance(e, Construct) and _same(e.value, optimizer)]
        if not steps or not built:
            continue
        outside = {loop.number for event in built for loop in _loops(run, event)}
        if any(loop.number not in outside for event in steps for loop in _loops(run, event)):
            return True
        found = False
    return found


def _same(value: Value, optimizer: Optimizer) -> bool:
    return isinstance(value, Optimizer) and value.place == optimizer.place


def _loops(run: Run, event: Event) -> list[Repeat]:
    """The loops around an event that have a second round."""
    return [loop for loop in repeats_around(run.tree, event) if not _leaves(loop)]


def _leaves(loop: Repeat) -> bool:
    last = loop.body[-1] if loop.body else None
    return isinstance(last, Exit) and last.kind in ("break", "return")
