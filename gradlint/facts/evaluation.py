"""Loops that only look: a module is called in them, nothing is back-propagated, and they are named or placed like an evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.facts.events import (
    Backward,
    Branch,
    Call,
    Forward,
    Freeze,
    GradEdit,
    ManualUpdate,
    Node,
    OptimizerStep,
    Repeat,
    Run,
    Within,
    walk,
)
from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Layer, Unknown, Value

_NAMED = re.compile(r"eval|valid|(^|_)val($|_|[A-Z])|test|infer|predict|accuracy", re.IGNORECASE)
_GRADIENT_CALLS = ("torch.autograd.grad", "torch.autograd.functional.", "torch.func.", "torch.autograd.backward")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A loop, the module it evaluates and the first call of it."""

    run: Run
    loop: Repeat
    module: Value
    first: Forward


def evaluations(facts: TrainingFacts) -> Iterator[Evaluation]:
    """Every evaluation loop over a module that the same run trains, or that is built in sight and evaluated by name."""
    gradients = {n for c in facts.calls if c.name.startswith(_GRADIENT_CALLS) for n in c.repeats}
    for run in facts.runs:
        if run.managed:
            continue
        events = walk(run.tree)
        trained = {root for e in events if isinstance(e, Backward) and e.tensor is not None for root in e.tensor.roots}
        frozen = [e.target for e in events if isinstance(e, Freeze) and e.trainable is not True]
        for loop, function in _leaf_loops(run.tree, run.name):
            inside = walk(loop.body)
            if loop.number in gradients or any(isinstance(e, (Backward, OptimizerStep, GradEdit, ManualUpdate)) for e in inside):
                continue
            named = bool(_NAMED.search(function) or _NAMED.search(loop.hint))
            seen: set[int] = set()
            for event in inside:
                if not isinstance(event, Forward) or id(event.module) in seen or event.module in frozen:
                    continue
                seen.add(id(event.module))
                if event.module in trained and (named or _apart(run.tree, loop)):
                    yield Evaluation(run, loop, event.module, event)


def _leaf_loops(nodes: list[Node], function: str) -> Iterator[tuple[Repeat, str]]:
    """Loops with a call of a module directly in them, and the function they stand in."""
    for node in nodes:
        if isinstance(node, Branch):
            for arm in node.arms:
                yield from _leaf_loops(arm, function)
        elif isinstance(node, Repeat):
            inner = list(_leaf_loops(node.body, function))
            if inner:
                yield from inner
            elif any(isinstance(event, Forward) for event in walk(node.body)):
                yield node, node.function or function
        elif isinstance(node, Call):
            yield from _leaf_loops(node.body, node.function)
        elif isinstance(node, Within):
            yield from _leaf_loops(node.body, function)


def _apart(tree: list[Node], loop: Repeat) -> bool:
    """Whether the loop stands beside one that trains, in an enclosing loop or at the top."""
    others = [node for node, _ in _training_loops(tree)]
    return bool(others) and all(node is not loop for node in others)


def _training_loops(nodes: list[Node]) -> Iterator[tuple[Repeat, None]]:
    for node in nodes:
        if isinstance(node, Branch):
            for arm in node.arms:
                yield from _training_loops(arm)
        elif isinstance(node, Repeat):
            if any(isinstance(event, Backward) for event in walk(node.body)):
                yield node, None
                yield from _training_loops(node.body)
        elif isinstance(node, (Call, Within)):
            yield from _training_loops(node.body)


def mode_layers(module: Value) -> str | None:
    """The layers of a module that behave differently in train and eval mode, in words; None if there surely are none."""
    if isinstance(module, Unknown):
        return "dropout and batch norm, if it has any"
    if modules.mode_dependent(module) is False:
        return None
    found = dict.fromkeys(
        part.name for part in modules.walk(module) if isinstance(part, Layer) and modules.mode_dependent(part)
    )
    return ", ".join(list(found)[:3]) if found else "dropout and batch norm, if it has any"


def covers(switched: Value, module: Value) -> bool:
    """Whether a mode switch of `switched` switches `module`."""
    return switched is module or modules.holds(switched, module)
