"""GL402: a clip of gradients that an OptimizerStep has already used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.clipping import ClipMachine, misplaced
from gradlint.facts.events import Backward, Escape, Event, OptimizerStep, ZeroGrad
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import State
from gradlint.options import Options


@dataclass(frozen=True)
class _Used:
    """Gradients of a Backward that `step` has used and nobody has cleared."""

    step: Event


class _After(ClipMachine):
    """start -> Backward -> full -> step -> used -> clip: too late.

    A clip that the first round meets at the start is in time.
    """

    def on(self, state: State, event: Event) -> State:
        if self.clips_at(event):
            if isinstance(state, _Used):
                self.report(event, "bad", state.step)
            elif state != "cleared":
                self.report(event, "ok", event)
        elif isinstance(event, Backward):
            return state if relations.reaches(event, self.optimizer) is False else "full"
        elif isinstance(event, OptimizerStep) and event.optimizer is self.optimizer:
            return _Used(event) if state == "full" else state
        elif isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False:
            return "start" if state == "start" else "cleared"
        elif isinstance(event, Escape) and relations.may_fill(event, self.optimizer):
            return "start"
        return state


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every clip of every run."""
    for run in facts.runs:
        for clip, optimizer, judgement in misplaced(run, _After, options.strict):
            values: dict[str, str | int | float] = {
                "clip": clip.callee,
                "optimizer": facts.name_of(optimizer, "optimizer"),
                "step_line": judgement.bad[0].place.line_from(clip.place.path),
            }
            yield Finding("clip-after-step", clip.place.path, Range(*clip.place.at), values)
