"""Methods that are one training step: the loop that calls them stands in another file."""

from __future__ import annotations

from gradlint.facts.events import (
    Backward,
    Branch,
    Event,
    GradEdit,
    Node,
    OptimizerStep,
    Repeat,
    Run,
    ZeroGrad,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Optimizer

_CALLER = -1
"""The number of the loop nobody sees; those of the code count from zero."""


def repeated(facts: TrainingFacts, run: Run) -> list[Node]:
    """The tree of a run; that of a training step inside the loop that calls it.

    A method that goes backward and steps outside of any loop, with optimizers that this file builds, trains only if it
    is called again and again. It is left as it is where another method of its class may do a part of the work.
    """
    owner, _, method = run.name.rpartition(".")
    once = _outside(run.tree)
    steps = [event for event in run.events if isinstance(event, OptimizerStep)]
    whole = any(isinstance(e, Backward) for e in once) and any(isinstance(e, OptimizerStep) for e in once)
    if not owner or method == "__init__" or run.managed or not whole or not all(_own(step) for step in steps):
        return run.tree
    if any(_shares(other, owner) for other in facts.runs if other is not run):
        return run.tree
    return [Repeat(run.tree, once[0].place, _CALLER, function=run.name)]


def _outside(nodes: list[Node]) -> list[Event]:
    """The events of a tree that stand in no loop."""
    found: list[Event] = []
    for node in nodes:
        if isinstance(node, Event):
            found.append(node)
        elif isinstance(node, Branch):
            for arm in node.arms:
                found.extend(_outside(arm))
        elif isinstance(body := getattr(node, "body", None), list) and not isinstance(node, Repeat):
            found.extend(_outside(body))
    return found


def _own(step: OptimizerStep) -> bool:
    return isinstance(step.optimizer, Optimizer) and step.optimizer.protocol and not step.optimizer.closure


def _shares(run: Run, owner: str) -> bool:
    return run.name.rpartition(".")[0] == owner and any(
        isinstance(event, (ZeroGrad, OptimizerStep, GradEdit)) for event in run.events
    )
