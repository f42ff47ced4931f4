"""Which gradients a clip bounds of those that the next step uses: none of them, or not all."""

from __future__ import annotations

from gradlint.facts import coverage, relations
from gradlint.facts.clipping import Clip
from gradlint.facts.events import Backward, Escape, Event, ManualUpdate, OptimizerStep, ZeroGrad
from gradlint.facts.frozen import frozen
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State
from gradlint.facts.torch_names import PARAMETRIC, RECURRENT
from gradlint.facts.values import Layer, Optimizer, Tensor, Value


class Unused(Machine):
    """The state is the clips whose gradients no step has used yet, each with a step of something else since."""

    start = frozenset[tuple[Event, Event | None]]()

    def __init__(self, found: dict[int, Clip], known: list[Optimizer]) -> None:
        super().__init__()
        self.found = found
        self.known = known

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, frozenset)
        if isinstance(event, (Backward, ZeroGrad)):
            self._close(state)
            return self.start
        if id(event) in self.found:
            return state | {(event, None)}
        if isinstance(event, OptimizerStep):
            return frozenset((clip, missed or event) for clip, missed in state if self._misses(clip, event))
        if isinstance(event, Escape) or (isinstance(event, ManualUpdate) and event.gradient):
            for clip, _ in state:
                self.report(clip, "unsure", event)
            return self.start
        return state

    def finish(self, state: State) -> None:
        assert isinstance(state, frozenset)
        self._close(state)

    def _close(self, state: frozenset[tuple[Event, Event | None]]) -> None:
        for clip, missed in state:
            if missed is not None:
                self.report(clip, "bad", missed)

    def _misses(self, clip: Event, step: OptimizerStep) -> bool:
        """Whether a step surely uses nothing that was clipped; two unseen modules differ if each has an optimizer."""
        target = self.found[id(clip)].target
        answer = relations.overlap(target, step.optimizer)
        if answer is None and isinstance(step.optimizer, Optimizer):
            others = [other for other in self.known if other is not step.optimizer]
            answer = not any(relations.overlap(target, other) for other in others)
        if answer:
            self.report(clip, "ok", step)
        return answer is False


class Partly(Machine):
    """The state is the clips of one optimizer's gradients since they were cleared; its step judges them together."""

    start = frozenset[Event]()

    def __init__(self, optimizer: Value, own: dict[int, Clip], facts: TrainingFacts) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.own = own
        self.facts = facts
        self.left: dict[int, Value] = {}

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, frozenset)
        if id(event) in self.own:
            return state | {event}
        if isinstance(event, OptimizerStep) and event.optimizer is self.optimizer:
            left = self._left(state)
            for clip in state:
                self.report(clip, "ok" if left is None else "bad", event)
                if left is not None:
                    self.left[id(clip)] = left
            return self.start
        if isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False:
            return self.start
        return state

    def _left(self, state: frozenset[Event]) -> Value | None:
        """Something that is stepped and that no clip takes in; a recurrent part may be clipped alone."""
        held = coverage.leaves(self.optimizer)
        covered = [coverage.leaves(self.own[id(clip)].target) for clip in state]
        if held is None or None in covered:
            return None
        taken = {leaf for found in covered if found is not None for leaf in found}
        if all(isinstance(leaf, Layer) and leaf.name in RECURRENT for leaf in taken):
            return None
        for leaf, owner in held.items():
            if leaf not in taken and not frozen(self.facts, leaf) and _trainable(leaf):
                return leaf if any(relations.overlap(owner, other) for other in taken) else owner
        return None


def _trainable(leaf: Value) -> bool:
    return isinstance(leaf, Tensor) or (isinstance(leaf, Layer) and leaf.name in PARAMETRIC)
