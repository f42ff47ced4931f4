"""Both wings at once: what the linter found, handed to the tracer, and the report with its verdicts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from gradlint.catalog import RuleSpec
from gradlint.engine import Engine, Survey
from gradlint.errors import UsageError
from gradlint.join import Joiner
from gradlint.options import Options
from gradlint.report import Report
from gradlint.tracer.command import Judged, Static, check_with_trace


def scripts(paths: Sequence[str]) -> None:
    """Raise UsageError unless every path names a script: user code runs only where it is asked for by name."""
    if not paths:
        raise UsageError("--trace runs scripts: name them")
    for path in paths:
        if not os.path.isfile(path):
            raise UsageError(f"--trace runs scripts: {path} is not one")


def static(engine: Engine, survey: Survey, report: Report) -> Static:
    """The findings of a survey with the rules and options that hold for its files."""
    rules: dict[str, RuleSpec] = {}
    options: dict[str, Options] = {}
    for path in survey.files:
        settings = engine.settings(path)
        plan = engine.plan(settings)
        rules.update((name, rule) for name, rule in engine.catalog(settings).rules.items() if name in plan.selected)
        options.update(plan.options)
    joiner = Joiner(engine, survey, report.sources)
    return Static(tuple(report.diagnostics), rules, options, joiner.accepts, tuple(survey.problems))


def judge(engine: Engine, survey: Survey, report: Report, settings: Mapping[str, Any], fail_on: str | None) -> Judged:
    """Trace the surveyed scripts and put the verdicts, and the tracer's own findings, into the report.

    `settings` is the configuration's `[trace]` table; `fail_on` wins over the one it names.
    """
    found = static(engine, survey, report)
    judged = check_with_trace(
        found, survey.files, settings=settings, fail_on=fail_on or str(settings.get("fail-on", "any"))
    )
    report.diagnostics = list(judged.diagnostics)
    report.rules = {**found.rules, **report.rules}
    return judged
