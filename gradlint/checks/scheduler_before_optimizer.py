"""GL108: a scheduler that moves on before the optimizer step of the same iteration."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Event, OptimizerStep, Repeat, Run, SchedulerStep, repeats, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State
from gradlint.facts.sequence import present
from gradlint.facts.values import Optimizer, Scheduler
from gradlint.options import Options

_OWN_ORDER = ("torch.", "transformers.")
"""Packages whose schedulers set the rate of the steps that follow; others take the epoch or update as they like."""


class _Order(Machine):
    """fresh -> SchedulerStep -> early -> OptimizerStep: the schedule was moved before its value was used."""

    start = "fresh"
    watches = (SchedulerStep, OptimizerStep)

    def __init__(self, scheduler: Scheduler, loop: Repeat) -> None:
        super().__init__()
        self.scheduler, self.loop = scheduler, loop
        self.plain = False

    def on(self, state: State, event: Event) -> State:
        if isinstance(event, SchedulerStep) and event.scheduler is self.scheduler:
            return event if state == "fresh" else state
        if isinstance(event, OptimizerStep) and event.optimizer is self.scheduler.optimizer:
            if isinstance(state, SchedulerStep):
                self.report(state, "bad", event)
            elif state == "fresh":
                self.plain = True
            return "stepped"
        return state

    def again(self, state: State, loop: Repeat) -> State:
        return "fresh" if loop.number == self.loop.number else state


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge each scheduler in the innermost loop that it shares with its optimizer."""
    seen: set[object] = set()
    for run in facts.runs:
        stepped = [e for e in run.events if isinstance(e, SchedulerStep)]
        for scheduler in dict.fromkeys(e.scheduler for e in stepped):
            if not isinstance(scheduler, Scheduler) or not scheduler.kind.startswith(_OWN_ORDER):
                continue
            if any(e.metric is not None for e in stepped if e.scheduler is scheduler):
                continue
            for finding in _judge(facts, run, scheduler):
                if finding.range not in seen:
                    seen.add(finding.range)
                    yield finding


def _judge(facts: TrainingFacts, run: Run, scheduler: Scheduler) -> Iterator[Finding]:
    loop = _shared(run, scheduler)
    if loop is None or (isinstance(scheduler.optimizer, Optimizer) and scheduler.optimizer.managed == "deepspeed"):
        return
    machine = _Order(scheduler, loop)
    judgements = machine.run(present([loop], scheduler))
    if machine.plain or machine.overflowed:
        return
    for judgement in judgements:
        place, step = judgement.origin.place, judgement.bad[0]
        values: dict[str, str | int | float] = {
            "scheduler": facts.name_of(scheduler, "scheduler"),
            "optimizer": facts.name_of(scheduler.optimizer, "optimizer"),
            "optimizer_line": step.place.line_from(place.path),
        }
        yield Finding("scheduler-before-optimizer", place.path, Range(*place.at), values)


def _shared(run: Run, scheduler: Scheduler) -> Repeat | None:
    """The innermost loop that steps both."""
    found = None
    for loop in repeats(run.tree):
        events = walk(loop.body)
        schedules = any(isinstance(e, SchedulerStep) and e.scheduler is scheduler for e in events)
        if schedules and any(isinstance(e, OptimizerStep) and e.optimizer is scheduler.optimizer for e in events):
            found = loop
    return found
