"""GL101: an OptimizerStep whose gradients are still there when the next Backward adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Construct,
    Escape,
    Event,
    GradEdit,
    ManualUpdate,
    OptimizerStep,
    Repeat,
    Run,
    ZeroGrad,
    walk,
)  # fmt: skip
from gradlint.facts.model import TrainingFacts
from gradlint.facts.moving import cleared_for_others, stepped, updated
from gradlint.facts.protocol import Machine, State
from gradlint.facts.training_step import repeated
from gradlint.facts.values import Optimizer, Unknown, Value
from gradlint.options import Options


@dataclass(frozen=True)
class _Used:
    """Gradients that `step` has used: `stale` once a Backward was added to them, `left` once the step's loop was left.

    `cleared` are the parts of the optimizer that were cleared since, where others were not.
    """

    step: Event
    cleared: frozenset[Value] = frozenset()
    stale: Event | None = None
    left: bool = False


class _Clearing(Machine):
    """clean -> Backward -> dirty -> step -> used -> Backward -> stale -> step: the stale gradients were used again."""

    watches = (OptimizerStep, Backward, ZeroGrad, GradEdit, Escape, Construct, ManualUpdate)

    def __init__(self, optimizer: Value) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.reached: dict[int, bool | None] = {}
        self.inside: dict[int, set[int]] = {}

    def on(self, state: State, event: Event) -> State:
        used = state if isinstance(state, _Used) else None
        if updated(event) is self.optimizer:
            if used is not None and used.stale is not None:
                self.report(used.step, "bad", used.stale)
            return _Used(event)
        if isinstance(event, Backward):
            if id(event) not in self.reached:
                self.reached[id(event)] = relations.reaches(event, self.optimizer)
            reached = self.reached[id(event)]
            reached = reached and self._fills_rest(event, used)
            if used is not None and used.stale is None and reached is not False:
                return replace(used, stale=event)
        elif (
            self._renews(event)
            and isinstance(event, (ZeroGrad, GradEdit))
            and relations.clears(event.target, self.optimizer) is not False
        ):
            if used is None:
                return "clean"
            held = relations.owners(self.optimizer) or []
            rest = [part for part in relations.uncleared(event.target, self.optimizer) if part not in used.cleared]
            if rest:
                return replace(used, cleared=used.cleared | {part for part in held if part not in rest})
            if not used.left:
                self.report(used.step, "ok", event)
            return "clean"
        elif isinstance(event, (Escape, Construct)) and self._interferes(event):
            if used is not None and not (used.left and isinstance(event, Construct)):
                self.report(used.step, "unsure", event)
            return "clean"
        return state

    def leave(self, state: State, loop: Repeat) -> State:
        if loop.number not in self.inside:
            # A loop over the parameters, without a backward, is no training loop that a step could be left behind in.
            inside = walk(loop.body)
            trains = any(isinstance(event, Backward) for event in inside)
            self.inside[loop.number] = {id(event) for event in inside} if trains else set()
        if isinstance(state, _Used) and id(state.step) in self.inside[loop.number]:
            return replace(state, left=True)
        return state

    def _fills_rest(self, event: Backward, used: _Used | None) -> bool | None:
        """Whether a backward accumulates into what was left when another part was cleared."""
        if used is None or not used.cleared:
            return True
        tensor = event.tensor
        rest = [part for part in relations.owners(self.optimizer) or [] if part not in used.cleared]
        return tensor is not None and any(relations.overlap(root, part) for root in tensor.roots for part in rest)

    @staticmethod
    def _renews(event: Event) -> bool:
        """Whether nothing of the old gradients is left."""
        return isinstance(event, ZeroGrad) or (isinstance(event, GradEdit) and event.fresh)

    def _interferes(self, event: Event) -> bool:
        if isinstance(event, Construct):
            return event.value is self.optimizer
        if isinstance(event, Escape):
            return relations.takes(event, self.optimizer)
        return False


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every optimizer that a run steps, and what it updates by hand."""
    for run in facts.runs:
        for optimizer in stepped(run.events):
            yield from _judge(facts, run, optimizer, options)


def _judge(facts: TrainingFacts, run: Run, optimizer: Value, options: Options) -> Iterator[Finding]:
    if isinstance(optimizer, Optimizer) and (not optimizer.protocol or optimizer.closure):
        return
    if isinstance(optimizer, Unknown) and optimizer.origin == "item":
        return
    for judgement in _Clearing(optimizer).run(repeated(facts, run)):
        by_hand = isinstance(judgement.origin, ManualUpdate)
        if judgement.verdict == "sure" or (judgement.verdict == "maybe" and options.strict):
            if cleared_for_others(facts, run, judgement.origin):
                continue
            place, stale = judgement.origin.place, judgement.bad[0].place
            values: dict[str, str | int | float] = {
                "optimizer": facts.name_of(optimizer, "optimizer"),
                "update": "the update" if by_hand else "`step()`",
                "line": place.at[0],
                "backward_line": stale.line_from(place.path),
            }
            yield Finding("missing-zero-grad", place.path, Range(*place.at), values)
