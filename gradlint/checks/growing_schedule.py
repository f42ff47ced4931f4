"""GL603: a schedule that raises the learning rate without end, or lowers it at the wrong moments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import schedule
from gradlint.facts.events import LoadSnapshot, SaveSnapshot, SchedulerStep, TakeSnapshot
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Collection, Scheduler, Tensor, Unknown, Value
from gradlint.options import Options

_FALLS = re.compile(r"loss|error|perplexity|(^|_)(err|ppl|mse|mae|rmse|wer|cer|nll)(_|$)", re.IGNORECASE)
_RISES = re.compile(r"accuracy|recall|precision|(^|_)(acc|f1|auc|auroc|bleu|iou|miou|dice)(_|$)", re.IGNORECASE)


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every scheduler by its factor, and every plateau scheduler by the metric it is given."""
    parts = [part for scheduler in facts.schedulers for part in _inside(scheduler)]
    for scheduler in facts.schedulers:
        if scheduler.place.path != facts.path:
            continue
        found = schedule.grows(scheduler)
        if found is not None and not any(part is scheduler for part in parts) and not _restored(facts, scheduler):
            name, value = found
            consequence = f"the learning rate is multiplied by {value:g} again and again"
            yield _finding(scheduler, f"{name} = {value:g}", consequence)
        elif scheduler.name == "ReduceLROnPlateau":
            yield from _metric(facts, scheduler)


def _metric(facts: TrainingFacts, scheduler: Scheduler) -> Iterator[Finding]:
    mode = schedule.mode(scheduler)
    events = [event for run in facts.runs for event in run.events if isinstance(event, SchedulerStep)]
    ways = {_direction(facts, event.metric) for event in events if event.scheduler is scheduler}
    if mode is None or len(ways) != 1:
        return
    wanted = ways.pop()
    if wanted and wanted != mode:
        better = "grows" if wanted == "max" else "falls"
        yield _finding(
            scheduler,
            f'mode = "{mode}"',
            f"its metric is better when it {better}, so every improvement counts as a plateau",
        )


def _direction(facts: TrainingFacts, metric: Value | None) -> str:
    """`min` or `max` by the metric's name; empty where it tells nothing or the value is turned round."""
    if not isinstance(metric, (Unknown, Tensor)) or (metric.formula is not None and metric.formula.op == "neg"):
        return ""
    names = [facts.name_of(metric, ""), metric.hint]
    falls, rises = any(map(_FALLS.search, names)), any(map(_RISES.search, names))
    return "" if falls == rises else "min" if falls else "max"


def _inside(scheduler: Scheduler) -> list[Value]:
    """Schedulers that this one runs."""
    given = [*scheduler.arguments, *scheduler.keywords.values()]
    return [item for value in given if isinstance(value, Collection) for item in value.items]


def _restored(facts: TrainingFacts, scheduler: Scheduler) -> bool:
    """Whether the weights are kept before its first step and put back after its last: a learning-rate range test."""
    if scheduler.name == "ReduceLROnPlateau":
        return False
    for run in facts.runs:
        events = run.events
        steps = [i for i, e in enumerate(events) if isinstance(e, SchedulerStep) and e.scheduler is scheduler]
        if steps:
            kept = any(isinstance(event, (TakeSnapshot, SaveSnapshot)) for event in events[: steps[0]])
            if kept and any(isinstance(event, LoadSnapshot) for event in events[steps[-1] :]):
                return True
    return False


def _finding(scheduler: Scheduler, setting: str, consequence: str) -> Finding:
    values = {"scheduler": scheduler.name, "setting": setting, "consequence": consequence}
    return Finding("growing-schedule", scheduler.place.path, Range(*scheduler.place.at), values)
