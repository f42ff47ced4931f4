"""GL111: an optimizer built anew in each batch or epoch over parameters that stay."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import (
    Branch,
    Call,
    Construct,
    Escape,
    Event,
    LoadSnapshot,
    Node,
    OptimizerStep,
    Repeat,
    Within,
    walk,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Optimizer, Steps, Tensor, Unknown, Value, number
from gradlint.options import Options

_RENEWS = re.compile(r"reset|init|load|freez|adapt|expand|grow|prune|copy|clone", re.IGNORECASE)
"""Unseen callees by whose names the parameters may not be the same afterwards."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the optimizers built in the loop in which, or just around which, they step."""
    seen: set[object] = set()
    for run in facts.runs:
        for event in run.events:
            if not isinstance(event, Construct) or not isinstance(event.value, Optimizer) or event.place in seen:
                continue
            around = repeats_around(run.tree, event)
            state = _state(event.value)
            if around and state and _rebuilt(facts, around[-1], event, event.value):
                seen.add(event.place)
                values = {
                    "optimizer": facts.name_of(event.value, "optimizer"),
                    "loop": f"iteration of the loop over `{around[-1].hint}`",
                    "state": state,
                }
                yield Finding("optimizer-rebuilt-in-loop", event.place.path, Range(*event.place.at), values)


def _state(optimizer: Optimizer) -> str:
    """What an optimizer remembers from step to step; empty if nothing."""
    if optimizer.name == "SGD":
        momentum = optimizer.settings.get("momentum")
        return "momentum" if momentum is not None and number(momentum) != 0 else ""
    return {"LBFGS": "curvature", "Rprop": "step size"}.get(optimizer.name, "moment")


def _rebuilt(facts: TrainingFacts, loop: Repeat, built: Construct, optimizer: Optimizer) -> bool:
    events = walk(loop.body)
    steps = [e for e in events if isinstance(e, OptimizerStep) and e.optimizer is optimizer]
    if not steps or not optimizer.known or not _unconditional(loop.body, built):
        return False
    if not all(_stays(facts, loop, part) for part in relations.sources(optimizer) or [optimizer]):
        return False
    if any(isinstance(e, LoadSnapshot) and relations.overlap(e.module, optimizer) is not False for e in events):
        return False
    if any(isinstance(e, Escape) and _RENEWS.search(e.callee) for e in events):
        return False
    if any(
        call.name == "Module.apply" or call.name.startswith("torch.nn.init.")
        for call in facts.calls
        if loop.number in call.repeats
    ):
        return False
    return all(_is_training_loop(facts, loop, repeats_around(loop.body, step)) for step in steps)


def _stays(facts: TrainingFacts, loop: Repeat, part: Value) -> bool:
    """Whether something trained outlives an iteration of the loop."""
    if isinstance(part, (Tensor, Optimizer)):
        return False
    inside = {loop.number}
    return facts.born.get(id(part)) not in inside and not (
        isinstance(part, Unknown) and part.origin in ("item", "call")
    )


def _is_training_loop(facts: TrainingFacts, loop: Repeat, inner: list[Repeat]) -> bool:
    """A batch loop, or an epoch loop around one; a loop over tasks, clients or pictures is none."""
    if not inner:
        return True
    if len(inner) > 1:
        return False
    epochs = "epoch" in f"{loop.hint} {loop.target}".lower()
    return not _own(facts, loop, inner[0].over) and not (_counted(inner[0].over) and not epochs)


def _own(facts: TrainingFacts, loop: Repeat, over: Value | None) -> bool:
    """Whether what the inner loop goes over is an item of the outer one."""
    if isinstance(over, Steps):
        return any(_own(facts, loop, argument) for argument in over.arguments)
    return isinstance(over, Unknown) and over.origin == "item" and facts.born.get(id(over)) == loop.number


def _counted(over: Value | None) -> bool:
    return isinstance(over, Steps) and over.kind == "range"


def _unconditional(nodes: list[Node], built: Event) -> bool:
    """Whether each iteration builds one: no branch around it, or one whose every arm builds an optimizer."""
    for node in nodes:
        if node is built:
            return True
        if isinstance(node, Branch):
            for arm in node.arms:
                if any(e is built for e in walk(arm)):
                    builds = [
                        any(isinstance(e, Construct) and isinstance(e.value, Optimizer) for e in walk(a))
                        for a in node.arms
                    ]
                    return all(builds) and _unconditional(arm, built)
        elif isinstance(node, (Call, Within, Repeat)) and any(e is built for e in walk(node.body)):
            return _unconditional(node.body, built)
    return False
