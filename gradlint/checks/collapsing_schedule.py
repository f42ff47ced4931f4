"""GL604: a schedule that is down to nothing before half of the run is over."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import schedule
from gradlint.facts.model import TrainingFacts
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every schedule whose formula and number of steps are known."""
    for scheduler in facts.schedulers:
        course = schedule.course(facts, scheduler)
        if course is None or scheduler.place.path != facts.path:
            continue
        half = course.total // 2
        decades = schedule.decades(scheduler, half)
        if decades is not None and decades < -options.number("decades"):
            values: dict[str, str | int] = {
                "scheduler": scheduler.name,
                "decades": f"{-decades:.3g}",
                "when": course.unit,
                "position": half,
                "total": course.total,
            }
            yield Finding("collapsing-schedule", scheduler.place.path, Range(*scheduler.place.at), values)
