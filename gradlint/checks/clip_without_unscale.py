"""GL404: a clip of gradients that are still multiplied by a scaler's scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations, scaling
from gradlint.facts.clipping import ClipMachine, misplaced
from gradlint.facts.events import Backward, ClipGrad, Escape, Event, GradEdit, OptimizerStep, Unscale, ZeroGrad
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import State
from gradlint.facts.roles import role
from gradlint.facts.values import Unknown, Value
from gradlint.options import Options


@dataclass(frozen=True)
class _Scaled:
    """Gradients of a scaled Backward that nobody has divided by the scale again."""

    backward: Backward


class _Unscaling(ClipMachine):
    """plain -> scaled Backward -> scaled -> unscale_ -> unscaled, until the step."""

    def on(self, state: State, event: Event) -> State:
        if self.clips_at(event):
            scaled = isinstance(state, _Scaled) and not (isinstance(event, ClipGrad) and _follows_scale(event.limit))
            if isinstance(state, _Scaled) and scaled:
                self.report(event, "bad", state.backward)
            else:
                self.report(event, "ok", event)
        elif isinstance(event, Backward):
            if relations.reaches(event, self.optimizer) is False or state == "unscaled":
                return state
            return _Scaled(event) if event.scaled and scaling.scales(event.via) else "plain"
        elif self._unscales(event):
            return "unscaled"
        elif (isinstance(event, OptimizerStep) and event.optimizer is self.optimizer) or (
            isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False
        ):
            return "plain"
        return state

    def _unscales(self, event: Event) -> bool:
        """Whether the gradients are, or may be, divided by the scale here."""
        if isinstance(event, Unscale):
            unseen = isinstance(event.optimizer, Unknown)
            return unseen or relations.overlap(event.optimizer, self.optimizer) is not False
        if isinstance(event, GradEdit):
            return relations.clears(event.target, self.optimizer) is not False
        if isinstance(event, Escape):
            return relations.may_fill(event, self.optimizer) or any(scaling.scales(value) for value in event.values)
        return False


def _follows_scale(limit: Value | None) -> bool:
    return isinstance(limit, Unknown) and any(role(value) == "scaler" for value in limit.touched)


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every clip of every run."""
    for run in facts.runs:
        for clip, optimizer, judgement in misplaced(run, _Unscaling, options.strict):
            backward = judgement.bad[0]
            scaler = backward.via if isinstance(backward, Backward) else None
            values: dict[str, str | int | float] = {
                "clip": clip.callee,
                "scaler": facts.name_of(scaler, "scaler"),
                "scale": scaling.initial_scale(facts, scaler),
                "optimizer": facts.name_of(optimizer, "optimizer"),
            }
            yield Finding("clip-without-unscale", clip.place.path, Range(*clip.place.at), values)
