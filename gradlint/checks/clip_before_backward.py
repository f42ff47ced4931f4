"""GL403: a clip of empty or outdated gradients, before the Backward whose gradients the OptimizerStep uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.clipping import ClipMachine, misplaced
from gradlint.facts.events import Backward, Escape, Event, OptimizerStep, ZeroGrad
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import State
from gradlint.options import Options

_FILLED, _USED = "filled", "used"


@dataclass(frozen=True)
class _Early:
    """A clip that saw no gradient of this round, and the Backward that came after it."""

    clip: Event
    backward: Event | None = None


class _Before(ClipMachine):
    """empty -> clip -> early -> Backward -> step without another clip: what is used was never clipped."""

    def on(self, state: State, event: Event) -> State:
        if self.clips_at(event):
            return self._clipped(state, event)
        if isinstance(event, Backward):
            if relations.reaches(event, self.optimizer) is False:
                return state
            if isinstance(state, _Early):
                return replace(state, backward=state.backward or event)
            return _FILLED
        if isinstance(event, OptimizerStep) and event.optimizer is self.optimizer:
            if isinstance(state, _Early):
                if state.backward is None:
                    self.report(state.clip, "ok", event)
                else:
                    self.report(state.clip, "bad", state.backward)
            return _USED
        if isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False:
            return state if isinstance(state, _Early) and state.backward is None else "empty"
        if isinstance(event, Escape) and relations.may_fill(event, self.optimizer):
            if isinstance(state, _Early):
                self.report(state.clip, "unsure", event)
            return _FILLED
        return state

    def _clipped(self, state: State, event: Event) -> State:
        if state == _USED:
            return state
        if state == _FILLED or (isinstance(state, _Early) and state.backward is not None):
            self.report(event, "ok", event)
            if isinstance(state, _Early):
                self.report(state.clip, "ok", event)
            return _FILLED
        return _Early(event)


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every clip of every run."""
    for run in facts.runs:
        for clip, optimizer, judgement in misplaced(run, _Before, options.strict):
            values: dict[str, str | int | float] = {
                "clip": clip.callee,
                "backward_line": judgement.bad[0].place.line_from(clip.place.path),
                "gradients": "gradients that are None, zero or the previous batch's",
                "optimizer": facts.name_of(optimizer, "optimizer"),
            }
            yield Finding("clip-before-backward", clip.place.path, Range(*clip.place.at), values)
