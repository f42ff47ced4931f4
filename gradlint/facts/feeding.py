"""What a step of an optimizer finds in the gradients: fresh ones, wiped ones, none at all.

Clear, backward and step follow one another in a circle; which of them is misplaced depends on where the iteration
begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from gradlint.facts import relations
from gradlint.facts.events import (
    ONE_OF_SEVERAL,
    Backward,
    Branch,
    Call,
    Construct,
    Escape,
    Event,
    Freeze,
    GradEdit,
    Node,
    OptimizerStep,
    Repeat,
    Run,
    Within,
    ZeroGrad,
    repeats,
    walk,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State
from gradlint.facts.record import record
from gradlint.facts.training_step import repeated
from gradlint.facts.values import Manager, Optimizer, Unknown, Value


@dataclass(frozen=True)
class _Gradients:
    """`kind` is unknown, empty, filled or wiped; `again` tells that an iteration ended since the backward.

    `perhaps`: the backward is another optimizer's and may fill the gradients of this one too, or another optimizer has
    stepped with them. `frozen`: all that the optimizer holds is switched off for now.
    """

    kind: str
    backward: Backward | None = None
    clear: Event | None = None
    again: bool = False
    perhaps: bool = False
    frozen: bool = False


@record
class Meal:
    """All that one step finds, over every path to it.

    `kinds`: `fed` with gradients, `wiped` by a clear after this iteration's backward, `early` before this iteration's
    backward and after a clear, `empty` with no backward since the clear or the construction, `unknown`.
    """

    step: OptimizerStep
    kinds: set[str] = field(default_factory=set)
    backward: Backward | None = None
    clear: Event | None = None


class _Feeding(Machine):
    start = _Gradients("unknown")
    watches = (OptimizerStep, Backward, GradEdit, ZeroGrad, Escape, Construct, Freeze)

    def __init__(self, optimizer: Value, tree: list[Node], others: list[Value]) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.others = others
        self.meals: dict[int, Meal] = {}
        self.reached: dict[int, bool | None] = {}
        self.serves: dict[int, bool] = {}
        self.rounds = {loop.number for loop in repeats(tree) if self._whole(loop)}

    def _whole(self, loop: Repeat) -> bool:
        inside = walk(loop.body)
        steps = any(isinstance(e, OptimizerStep) and e.optimizer is self.optimizer for e in inside)
        return steps and any(isinstance(e, Backward) and self._reaches(e) is not False for e in inside)

    def _reaches(self, event: Backward) -> bool | None:
        if id(event) not in self.reached:
            self.reached[id(event)] = relations.reaches(event, self.optimizer)
        return self.reached[id(event)]

    def _is_whole(self, target: Value) -> bool:
        held = relations.owners(self.optimizer)
        return bool(held) and all(relations.within(module, target) for module in held or ())

    def _serves_another(self, event: Backward) -> bool:
        if id(event) not in self.serves:
            unsure = self._reaches(event) is None
            self.serves[id(event)] = unsure and any(relations.reaches(event, other) for other in self.others)
        return self.serves[id(event)]

    def _used_by(self, other: Value, state: _Gradients) -> bool:
        if state.kind != "filled" or state.backward is None:
            return False
        shared = relations.overlap(other, self.optimizer)
        return shared is True or (shared is None and relations.reaches(state.backward, other) is True)

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, _Gradients)
        if isinstance(event, OptimizerStep) and event.optimizer is self.optimizer:
            self._eat(state, event)
        elif isinstance(event, OptimizerStep):
            return replace(state, perhaps=state.perhaps or self._used_by(event.optimizer, state))
        elif isinstance(event, Freeze) and self._is_whole(event.target):
            return replace(state, frozen=event.trainable is False)
        elif isinstance(event, Backward) and not state.frozen and self._reaches(event) is not False:
            perhaps = self._serves_another(event)
            return state if perhaps and state.kind == "filled" else _Gradients("filled", event, perhaps=perhaps)
        elif (
            isinstance(event, GradEdit) and event.fresh and relations.clears(event.target, self.optimizer) is not False
        ):
            return _Gradients("filled")
        elif isinstance(event, GradEdit) and state.kind == "wiped":
            # What was copied before the clear may be put back.
            return _Gradients("unknown")
        elif isinstance(event, ZeroGrad):
            return self._cleared(state, event)
        elif isinstance(event, Escape) and relations.may_fill(event, self.optimizer):
            return _Gradients("unknown")
        elif isinstance(event, Construct) and event.value is self.optimizer and state.kind == "unknown":
            return _Gradients("empty")
        return state

    def _cleared(self, state: _Gradients, event: ZeroGrad) -> State:
        clears = relations.clears(event.target, self.optimizer)
        if clears is False or relations.uncleared(event.target, self.optimizer):
            return state
        if clears is None:
            return _Gradients("unknown")
        if state.kind == "filled" and state.backward is not None and not state.perhaps:
            return replace(state, kind="wiped", clear=event)
        return state if state.kind == "wiped" else _Gradients("empty")

    def _eat(self, state: _Gradients, step: OptimizerStep) -> None:
        meal = self.meals.setdefault(id(step), Meal(step))
        if state.kind == "wiped":
            meal.kinds.add("early" if state.again else "wiped")
            meal.backward, meal.clear = state.backward, state.clear
        else:
            meal.kinds.add("fed" if state.kind == "filled" else state.kind)

    def again(self, state: State, loop: Repeat) -> State:
        assert isinstance(state, _Gradients)
        if state.backward is not None and loop.number in self.rounds:
            return replace(state, again=True)
        return state


@lru_cache(maxsize=1)
def meals(facts: TrainingFacts) -> tuple[tuple[Run, Meal], ...]:
    """What the steps of each run find, one entry for each step of an optimizer that can be told from others."""
    return tuple((run, meal) for run in facts.runs for meal in _meals_of(facts, run))


def _meals_of(facts: TrainingFacts, run: Run) -> list[Meal]:
    found: list[Meal] = []
    stepped = dict.fromkeys(e.optimizer for e in run.events if isinstance(e, OptimizerStep))
    for optimizer in stepped:
        if isinstance(optimizer, Manager) or (isinstance(optimizer, Unknown) and optimizer.origin == "item"):
            continue
        if isinstance(optimizer, Optimizer) and (not optimizer.protocol or optimizer.managed == "deepspeed"):
            continue
        tree = repeated(facts, run)
        machine = _Feeding(optimizer, tree, [other for other in stepped if other is not optimizer])
        machine.run(tree)
        if not machine.overflowed:
            found.extend(machine.meals.values())
    by_step = {id(meal.step): meal for meal in found}
    for steps in _alternatives(run.tree):
        together = [by_step[id(step)] for step in steps if id(step) in by_step]
        kinds = {kind for meal in together for kind in meal.kinds}
        for meal in together:
            meal.kinds = kinds
    return found


def _alternatives(nodes: list[Node]) -> Iterator[list[Event]]:
    """Steps of which one happens: nobody knows which of several optimizers the name stands for."""
    for node in nodes:
        if isinstance(node, Branch):
            if node.condition.text == ONE_OF_SEVERAL:
                yield [event for arm in node.arms for event in walk(arm) if isinstance(event, OptimizerStep)]
            else:
                for arm in node.arms:
                    yield from _alternatives(arm)
        elif isinstance(node, (Repeat, Within, Call)):
            yield from _alternatives(node.body)
