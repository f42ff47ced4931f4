"""Gradients that an accumulating loop throws away: cleared for every batch, used once for several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.facts import relations
from gradlint.facts.accumulation import guards, micro_batches
from gradlint.facts.events import Backward, Event, OptimizerStep, Repeat, Run, ZeroGrad, repeats, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.sequence import always
from gradlint.facts.values import Manager, Optimizer


@dataclass(slots=True, frozen=True)
class Discard:
    """`clear` runs in every iteration, as `backward` does, but `step` not: all but the last gradients are lost."""

    clear: ZeroGrad
    backward: Backward
    step: OptimizerStep


def discards(facts: TrainingFacts) -> Iterator[Discard]:
    """The first clear of each loop that piles up gradients for one step and wipes them in every iteration."""
    for run in facts.runs:
        for loop in repeats(run.tree):
            every = always(loop.body)
            clears = [event for event in every if isinstance(event, ZeroGrad)]
            backwards = [event for event in every if isinstance(event, Backward)]
            if clears and backwards:
                yield from _of_loop(run, loop, clears, backwards)


def _of_loop(run: Run, loop: Repeat, clears: list[ZeroGrad], backwards: list[Backward]) -> Iterator[Discard]:
    inside = walk(loop.body)
    for step in _steps(run, loop, inside, backwards):
        optimizer = step.optimizer
        if isinstance(step.via, Manager) or not isinstance(optimizer, Optimizer) or optimizer.managed:
            continue
        # A backward of its own under the same condition is what the step is for.
        if any(
            isinstance(e, Backward) and e not in backwards and relations.reaches(e, optimizer) is not False
            for e in inside
        ):
            continue
        clear = next((c for c in clears if _all_cleared(c, optimizer)), None)
        backward = next((b for b in backwards if relations.reaches(b, optimizer)), None)
        if clear is not None and backward is not None:
            yield Discard(clear, backward, step)
            return


def _steps(run: Run, loop: Repeat, inside: list[Event], backwards: list[Backward]) -> Iterator[OptimizerStep]:
    """Steps that hang on a recurring test in the loop, or follow a loop over micro-batches."""
    held = guards(loop)
    for event in inside:
        condition = held.get(id(event))
        if isinstance(event, OptimizerStep) and condition is not None and condition.modulus != 1:
            yield event
    divided = any(b.tensor is not None and b.tensor.divided for b in backwards)
    if held or not (divided or micro_batches(loop)):
        return
    everything = run.events
    last = max(index for index, event in enumerate(everything) if event is inside[-1])
    after = (event for event in everything[last + 1 :] if isinstance(event, (OptimizerStep, Backward)))
    following = next(after, None)
    if isinstance(following, OptimizerStep):
        yield following


def _all_cleared(clear: ZeroGrad, optimizer: Optimizer) -> bool:
    return relations.clears(clear.target, optimizer) is True and not relations.uncleared(clear.target, optimizer)
