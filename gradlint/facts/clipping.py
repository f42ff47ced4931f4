"""What clips gradients in a run, and whose."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gradlint.facts import relations
from gradlint.facts.events import (
    Branch,
    Call,
    ClipGrad,
    Escape,
    Event,
    Exit,
    GradEdit,
    Node,
    OptimizerStep,
    Run,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Judgement, Machine
from gradlint.facts.roles import role
from gradlint.facts.values import Manager, Place, Value, number

_MAY_CLIP = re.compile(r"clip|clamp|hook|rescale|grad", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip of gradients: a call of a clipping function, or a function named so that rescales `.grad` itself."""

    event: Event
    target: Value
    place: Place
    callee: str


def clips(tree: list[Node]) -> list[Clip]:
    """All clips of a tree; hooks, and norms that are only measured (`max_norm=inf`), are none."""
    return list(_clips(tree, None))


def _clips(nodes: list[Node], helper: Call | None) -> Iterator[Clip]:
    for node in nodes:
        if isinstance(node, ClipGrad):
            if node.kind != "own" and number(node.limit) != math.inf:
                yield Clip(node, node.target, node.place, node.callee)
        elif isinstance(node, GradEdit):
            if helper is not None:
                yield Clip(node, node.target, helper.place, helper.function)
        elif isinstance(node, Branch):
            for arm in node.arms:
                yield from _clips(arm, helper)
        elif isinstance(node, Call):
            named = helper is None and "clip" in node.function.rpartition(".")[2].lower()
            yield from _clips(node.body, node if named else helper)
        elif not isinstance(node, (Event, Exit)):
            yield from _clips(node.body, helper)


def stepped(run: Run) -> list[Value]:
    """The optimizers that a run steps, each once, in order."""
    steps = dict.fromkeys(event.optimizer for event in run.events if isinstance(event, OptimizerStep))
    return [optimizer for optimizer in steps if not isinstance(optimizer, Manager)]


def clipped(target: Value, optimizers: list[Value]) -> list[Value]:
    """The optimizers whose gradients clipping `target` clips; where it cannot be told, the only one there is."""
    answers = [relations.overlap(target, optimizer) for optimizer in optimizers]
    if True in answers:
        return [optimizer for optimizer, answer in zip(optimizers, answers, strict=True) if answer is not False]
    return optimizers if answers == [None] else []


class ClipMachine(Machine):
    """A machine about the gradients of one optimizer that knows which events clip them."""

    def __init__(self, optimizer: Value, clips: dict[int, Clip]) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.clips = clips

    def clips_at(self, event: Event) -> bool:
        """Whether `event` clips this optimizer's gradients."""
        return id(event) in self.clips


def misplaced(
    run: Run, make: Callable[[Value, dict[int, Clip]], ClipMachine], strict: bool
) -> Iterator[tuple[Clip, Value, Judgement]]:
    """Clips that a machine judges bad for every optimizer they are about, each place once."""
    optimizers = stepped(run)
    about = [(clip, clipped(clip.target, optimizers)) for clip in clips(run.tree)]
    found: dict[tuple[int, int], Judgement] = {}
    for index, optimizer in enumerate(optimizers):
        own = {id(clip.event): clip for clip, concerned in about if any(optimizer is one for one in concerned)}
        if own:
            for judgement in make(optimizer, own).run(run.tree):
                found[id(judgement.origin), index] = judgement
    seen: set[Place] = set()
    for clip, concerned in about:
        indices = [index for index, optimizer in enumerate(optimizers) if any(optimizer is one for one in concerned)]
        judgements = [found.get((id(clip.event), index)) for index in indices]
        bad = [j for j in judgements if j is not None and (j.verdict == "sure" or (strict and j.verdict == "maybe"))]
        if bad and len(bad) == len(judgements) and clip.place not in seen:
            seen.add(clip.place)
            yield clip, concerned[0], bad[0]


def touches(event: Escape, optimizer: Value) -> bool:
    """Whether unseen code got hold of what an optimizer steps."""
    concerned = ("module", "parameters", "optimizer")
    return relations.takes(event, optimizer) or any(
        role(value) in concerned and relations.overlap(value, optimizer) is not False for value in event.values
    )


def may_clip(facts: TrainingFacts, run: Run, optimizer: Value) -> bool:
    """Whether anything in sight clips, hooks or rewrites gradients of the optimizer, or may."""
    owner = run.name.partition(".")[0]
    for other in facts.runs:
        near = other is run or other.name.partition(".")[0] == owner
        for event in other.events:
            if isinstance(event, (ClipGrad, GradEdit)):
                answer = relations.overlap(event.target, optimizer)
                if answer or (answer is None and near):
                    return True
            elif near and isinstance(event, Escape) and _MAY_CLIP.search(event.callee) and touches(event, optimizer):
                return True
    return False
