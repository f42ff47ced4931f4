"""GL118: a state dict kept as a snapshot that shares its tensors with the module that trains on."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Escape, Event, LoadSnapshot, OptimizerStep, Run, SaveSnapshot, TakeSnapshot, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State, repeats_around
from gradlint.facts.roles import role
from gradlint.options import Options


class _Kept(Machine):
    """kept -> the module is trained on -> stale -> load or save: it is what the module holds anyway."""

    watches = (TakeSnapshot, OptimizerStep, Escape, LoadSnapshot, SaveSnapshot)

    def __init__(self, taken: TakeSnapshot) -> None:
        super().__init__()
        self.taken = taken

    def on(self, state: State, event: Event) -> State:
        if event is self.taken:
            return "kept"
        if state == "kept" and self._trains(event):
            return "stale"
        if (
            state == "stale"
            and isinstance(event, (LoadSnapshot, SaveSnapshot))
            and relations.holds(event.state, self.taken.snapshot)
        ):
            self.report(self.taken, "bad", event)
        return state

    def _trains(self, event: Event) -> bool:
        module = self.taken.module
        if isinstance(event, OptimizerStep):
            return relations.overlap(module, event.optimizer) is not False
        if isinstance(event, Escape):
            optimizers = [value for value in event.values if role(value) == "optimizer"]
            return any(relations.holds(value, module) for value in event.values) and bool(optimizers)
        return False


def _matters(run: Run, taken: Event, use: Event) -> bool:
    """Whether a use of a snapshot wants an earlier state: it is loaded, or saved once the loop that took it is over."""
    if not isinstance(use, SaveSnapshot):
        return True
    around = repeats_around(run.tree, use)
    trains = (OptimizerStep, Escape)
    left = [loop for loop in repeats_around(run.tree, taken) if loop not in around]
    return any(isinstance(event, trains) for loop in left for event in walk(loop.body))


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge each snapshot that was not copied."""
    seen: set[object] = set()
    for run in facts.runs:
        for event in run.events:
            if not isinstance(event, TakeSnapshot) or event.copied or event.place in seen:
                continue
            if any(_matters(run, event, use) for judgement in _Kept(event).run(run.tree) for use in judgement.bad):
                seen.add(event.place)
                values = {"snapshot": event.name, "module": facts.name_of(event.module, "the module")}
                yield Finding("aliased-state-dict", event.place.path, Range(*event.place.at), values)
