"""Loops that only look: a module is called in them, nothing is back-propagated, and they are named or placed like an
evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.facts.events import (
    ONE_OF_SEVERAL,
    Backward,
    Branch,
    Call,
    Event,
    Forward,
    Freeze,
    GradEdit,
    LoadSnapshot,
    ManualUpdate,
    ModeSwitch,
    Node,
    OptimizerStep,
    Repeat,
    Run,
    Within,
    repeats,
    walk,
)
from gradlint.facts.interpret import modules, tensors
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.sequence import straight
from gradlint.facts.values import Tensor, Unknown, Value

_NAMED = re.compile(r"eval|valid|(\b|_)val(\b|_|[A-Z])|test|infer|predict|accuracy", re.IGNORECASE)
_SCORES = re.compile(r"(^|_)(eval|evaluate|evaluation|valid|validate|validation|val|test|accuracy|score)($|_)")
_TRAINS = (Backward, OptimizerStep, GradEdit, ManualUpdate)
_CRITERION = re.compile(r"criterion|loss", re.IGNORECASE)
_GRADIENT_CALLS = (
    "torch.autograd.grad",
    "torch.autograd.functional.",
    "torch.func.",
    "torch.autograd.backward",
    "torch.distributed.autograd.",
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A loop, or the whole body of a function, the module it evaluates and the first call of it."""

    run: Run
    block: Repeat | Call
    module: Value
    first: Forward


def evaluations(facts: TrainingFacts) -> Iterator[Evaluation]:
    """Every loop or function that calls a module without training it, where it is clear that it evaluates.

    It is where the module is trained elsewhere in sight and the loop stands beside that or is named like an evaluation,
    where the module was put in eval mode before, or where it was loaded and the function is named so.
    """
    asked = [c for c in facts.calls if c.name.startswith(_GRADIENT_CALLS)]
    numbers = {n for c in asked for n in c.repeats}
    # A forward that asks for gradients cannot do without recording.
    recorded = [c.forward_of for c in asked if c.forward_of is not None]
    # A call is noted once, its loop is in the tree of every run that gets there.
    gradients = {loop.place for run in facts.runs for loop in repeats(run.tree) if loop.number in numbers}
    everything = [event for run in facts.runs for event in run.events]
    trained = {root for e in everything if isinstance(e, Backward) and e.tensor is not None for root in e.tensor.roots}
    frozen = {e.target for e in everything if isinstance(e, Freeze) and e.trainable is not True}
    for run in facts.runs:
        if run.managed or run.name.endswith(".training_step"):
            continue
        events = run.events
        prepared: dict[Value, int] = {}
        for index, e in enumerate(events):
            if isinstance(e, ModeSwitch) and e.training is False:
                prepared.setdefault(e.module, index)
        order = {id(e): index for index, e in enumerate(events)}
        loaded = {e.module for e in events if isinstance(e, LoadSnapshot)}
        for loop, function in _leaf_loops(run.tree, run.name):
            inside = walk(loop.body)
            if loop.place in gradients or any(isinstance(e, _TRAINS) for e in inside):
                continue
            named = bool(_NAMED.search(function) or _NAMED.search(loop.hint))
            perhaps = {id(event) for event in _perhaps(loop.body)}
            for event in _first_calls(inside):
                module = event.module
                if any(modules.holds(module, inner) for inner in recorded):
                    continue
                if id(event) in perhaps or module in frozen or _CRITERION.search(facts.name_of(module, "")):
                    continue
                beside = module in trained and (named or _apart(run.tree, loop, module))
                ready = prepared.get(module, len(order)) < order.get(id(event), 0)
                if not named and _given_back(run, event):
                    continue
                if beside or ready or (named and module in loaded):
                    yield Evaluation(run, loop, module, event)
        yield from _at_once(run, trained)


def _given_back(run: Run, event: Forward) -> bool:
    """Whether the run returns something that hangs on a call, for its caller to go back through."""
    found = [part for part in tensors.parts([run.result]) if isinstance(part, Tensor) and part.roots]
    return any(id(event.result) in tensors.ancestry(part) for part in found)


def _calls(nodes: list[Node]) -> Iterator[Call]:
    for node in nodes:
        if isinstance(node, Call):
            yield node
        if isinstance(node, Branch):
            for arm in node.arms:
                yield from _calls(arm)
        elif isinstance(node, (Repeat, Within, Call)):
            yield from _calls(node.body)


def _at_once(run: Run, trained: set[Value]) -> Iterator[Evaluation]:
    """Functions named for what they evaluate that call a trained module outside loops, without recording."""
    for call in _calls(run.tree):
        inside = next(straight(call.body))
        if _SCORES.search(call.function) and not any(isinstance(e, _TRAINS) for e in walk(call.body)):
            for event in _first_calls(inside):
                if event.recording is False and event.module in trained and event.function == call.function:
                    yield Evaluation(run, call, event.module, event)


def _perhaps(nodes: list[Node]) -> Iterator[Event]:
    """What happens only if one of several values that may be called is meant, and another of them calls no module."""
    for node in nodes:
        if isinstance(node, Branch):
            choice = node.condition.text == ONE_OF_SEVERAL
            silent = any(not any(isinstance(event, Forward) for event in walk(arm)) for arm in node.arms)
            for arm in node.arms:
                yield from walk(arm) if choice and silent else _perhaps(arm)
        elif isinstance(node, (Repeat, Within, Call)):
            yield from _perhaps(node.body)


def _first_calls(events: list[Event]) -> list[Forward]:
    """The first call of each module."""
    first: dict[int, Forward] = {}
    for event in events:
        if isinstance(event, Forward):
            first.setdefault(id(event.module), event)
    return list(first.values())


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
        elif isinstance(node, Call) and not node.function.endswith(".forward"):
            # A loop inside of a network's forward is one call of it.
            yield from _leaf_loops(node.body, node.function)
        elif isinstance(node, Within):
            yield from _leaf_loops(node.body, function)


def _apart(tree: list[Node], loop: Repeat, module: Value) -> bool:
    """Whether whatever trains the module has loops and forwards of its own, so that none of this loop's results feed
    it.

    A rollout that is followed by an update in the same iteration is no evaluation.
    """
    training = [e for e in walk(tree) if isinstance(e, Backward) and e.tensor is not None and module in e.tensor.roots]
    for backward in training:
        around = repeats_around(tree, backward)
        own = [repeat for repeat in around if all(event is not repeat for event in _ancestors(tree, loop))]
        if not any(isinstance(e, Forward) and e.module is module for repeat in own for e in walk(repeat.body)):
            return False
    return bool(training)


def _ancestors(tree: list[Node], loop: Repeat) -> list[Repeat]:
    first = walk(loop.body)[0]
    around = repeats_around(tree, first)
    return around[: around.index(loop)] if loop in around else around


def mode_layers(module: Value) -> str | None:
    """The layers of a module that differ between train and eval mode, in words; None if there surely are none."""
    if isinstance(module, Unknown):
        return "dropout and batch norm (if it has any)"
    dependent = modules.mode_dependent(module)
    if dependent is False:
        return None
    found = modules.mode_parts(module)
    if found:
        return ", ".join(found[:3])
    return "dropout or batch norm" if dependent else "dropout and batch norm (if it has any)"


def covers(switched: Value, module: Value) -> bool:
    """Whether a mode switch of `switched` switches `module`."""
    return switched is module or modules.holds(switched, module)
