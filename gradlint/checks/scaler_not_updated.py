"""GL902: a scaler steps an optimizer again although it was not updated since it did so before."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations, scaling
from gradlint.facts.events import Construct, Escape, Event, OptimizerStep, ScalerUpdate
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State
from gradlint.facts.values import Value
from gradlint.options import Options


class _Updating(Machine):
    """The state is the steps since the last update; a second step of the same optimizer among them is one too many."""

    start = frozenset[OptimizerStep]()
    watches = (OptimizerStep, ScalerUpdate, Construct, Escape)

    def __init__(self, scaler: Value) -> None:
        super().__init__()
        self.scaler = scaler

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, frozenset)
        if isinstance(event, OptimizerStep) and event.via is self.scaler:
            for step in state:
                if step.optimizer is event.optimizer:
                    self.report(step, "bad", event)
            return frozenset({*(step for step in state if step.optimizer is not event.optimizer), event})
        if isinstance(event, ScalerUpdate) and event.scaler is self.scaler:
            return self._ended(state, "ok", event)
        if isinstance(event, Construct) and event.value is self.scaler:
            return self._ended(state, "ok", event)
        if isinstance(event, Escape) and relations.takes(event, self.scaler):
            return self._ended(state, "unsure", event)
        return state

    def _ended(self, state: frozenset[OptimizerStep], verdict: str, event: Event) -> State:
        for step in state:
            self.report(step, verdict, event)
        return self.start


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every scaler that steps an optimizer; one that any other run updates is left alone."""
    events = [run.events for run in facts.runs]
    updates = [
        (index, event) for index, found in enumerate(events) for event in found if isinstance(event, ScalerUpdate)
    ]
    for index, run in enumerate(facts.runs):
        for scaler in dict.fromkeys(event.via for event in events[index] if isinstance(event, OptimizerStep)):
            if scaler is None or not scaling.scales(scaler):
                continue
            if any(number != index and event.scaler is scaler for number, event in updates):
                continue
            for judgement in _Updating(scaler).run(run.tree):
                if judgement.verdict == "sure" or (options.strict and judgement.verdict == "maybe"):
                    step = judgement.origin
                    assert isinstance(step, OptimizerStep)
                    values: dict[str, str | int | float] = {
                        "scaler": facts.name_of(scaler, "scaler"),
                        "optimizer": facts.name_of(step.optimizer, "optimizer"),
                        "scale": scaling.initial_scale(facts, scaler),
                    }
                    yield Finding("scaler-not-updated", step.place.path, Range(*step.place.at), values)
