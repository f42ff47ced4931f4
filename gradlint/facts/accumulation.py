"""Gradient accumulation: loops whose optimizer steps once for several backward calls of one loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Branch,
    Call,
    Condition,
    Escape,
    Event,
    Exit,
    GradEdit,
    Node,
    OptimizerStep,
    Repeat,
    Run,
    Within,
    ZeroGrad,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State, repeats_around
from gradlint.facts.values import Manager, Steps, Value

STEPS = 64
"""Steps of one run that a backward is held against."""
_MICRO = re.compile(r"accum|micro|grad_steps", re.IGNORECASE)
_FACTOR = re.compile(r"%\s*([\w.]+(?:\[[^\]]*\])?)|==\s*([\w.]+)")


@dataclass(slots=True, frozen=True)
class Accumulation:
    """`step` follows several runs of `backward`: under `condition` in its loop, or after the loop (then it is None)."""

    run: Run
    loop: Repeat
    backward: Backward
    step: OptimizerStep
    condition: Condition | None

    @property
    def factor(self) -> str:
        """How the code names the number of backward calls."""
        text = self.condition.text if self.condition is not None else self.loop.hint.removeprefix("range(").rstrip(")")
        found = _FACTOR.search(text)
        if found is not None:
            return found[1] or found[2]
        return "several" if self.condition is not None else text


class _Pile(Machine):
    """0 -> backward -> 1 -> the same backward -> 2 -> step: its gradients were piled up."""

    start = 0
    watches = (Backward, OptimizerStep, ZeroGrad, GradEdit, Escape)

    def __init__(self, backward: Backward, step: OptimizerStep) -> None:
        super().__init__()
        self.backward, self.step = backward, step

    def on(self, state: State, event: Event) -> State:
        if event is self.backward:
            return min(state + 1, 2) if isinstance(state, int) else state
        if event is self.step:
            if state == 2:
                self.report(self.backward, "bad", event)
            return 0
        if isinstance(event, OptimizerStep) and event.optimizer is self.step.optimizer:
            return 0
        if isinstance(event, ZeroGrad) and relations.clears(event.target, self.step.optimizer) is not False:
            return 0
        if isinstance(event, GradEdit) or (isinstance(event, Escape) and relations.takes(event, self.step.optimizer)):
            return "unsure"
        return state


def _scales(via: Value | None) -> bool:
    """Whether a framework divides by the number of accumulated batches; Fabric leaves that to the script."""
    return isinstance(via, Manager) and via.kind != "fabric"


def accumulations(facts: TrainingFacts) -> Iterator[Accumulation]:
    """Every backward whose gradients are piled up over iterations on purpose."""
    for run in facts.runs:
        events = run.events
        steps = [e for e in events if isinstance(e, OptimizerStep) and not isinstance(e.via, Manager)]
        single = len({id(e.optimizer) for e in steps}) == 1
        for backward in (e for e in events if isinstance(e, Backward) and not _scales(e.via)):
            around = repeats_around(run.tree, backward)
            if not around:
                continue
            held = guards(around[-1])
            for step in steps[:STEPS]:
                condition = held.get(id(step))
                if condition is None and (id(step) in held or not micro_batches(around[-1])):
                    continue
                reaches = relations.reaches(backward, step.optimizer)
                # Of several optimizers an unseen loss may be for another one.
                if (reaches or (reaches is None and single)) and _Pile(backward, step).run(run.tree)[:1]:
                    yield Accumulation(run, around[-1], backward, step, condition)
                    break


def micro_batches(loop: Repeat) -> bool:
    """Whether a loop counts the batches whose gradients are added up, by the name of their number."""
    return isinstance(loop.over, Steps) and loop.over.kind == "range" and bool(_MICRO.search(loop.hint))


def guards(loop: Repeat) -> dict[int, Condition | None]:
    """For each step in a loop, the recurring test it hangs on, around it or before it with a `continue`."""
    found: dict[int, Condition | None] = {}
    _look(loop.body, None, found)
    return found


def _look(nodes: list[Node], guard: Condition | None, found: dict[int, Condition | None]) -> None:
    for node in nodes:
        if isinstance(node, OptimizerStep):
            found.setdefault(id(node), guard)
        elif isinstance(node, Branch):
            own = node.condition if node.condition.recurs else guard
            for arm in node.arms:
                _look(arm, own, found)
            if any(arm and isinstance(arm[-1], Exit) and arm[-1].kind in ("continue", "return") for arm in node.arms):
                guard = own
        elif isinstance(node, (Call, Within, Repeat)):
            _look(node.body, guard, found)
