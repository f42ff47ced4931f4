"""One traced script with everything said about it: the record, its TraceGraph, the diagnostics with verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gradlint.catalog import RuleSpec
from gradlint.diagnostics import Diagnostic, Finding, Severity
from gradlint.report import Sources, diagnostic, shown
from gradlint.tracer.cells import joined
from gradlint.tracer.evidence import Evidence, real_path
from gradlint.tracer.graph import TraceGraph
from gradlint.tracer.schema import TraceRecord
from gradlint.tracer.verdicts import NO_OPTIONS, attach, observe, said_by

RULE = Callable[[str], RuleSpec | None]
"""A rule by name; None if it is not selected."""

ACCEPTS = Callable[[Finding], bool]
"""Whether a finding of the tracer's own passes the settings and suppression comments of its file."""


def everything(finding: Finding) -> bool:
    """Accept every finding."""
    return True


@dataclass(frozen=True)
class Outcome:
    """A trace and its diagnostics: static findings first joined with verdicts, then the tracer's own."""

    record: TraceRecord
    diagnostics: tuple[Diagnostic, ...]

    @cached_property
    def graph(self) -> TraceGraph:
        """The TraceGraph of the first round, or of the second where zero-initialised layers hide part of the first."""
        return TraceGraph.of(self.record, Evidence(self.record).shown_round())

    @property
    def failure(self) -> str:
        """Why nothing can be said, in one sentence; empty if the trace reached a backward or confirmed a finding."""
        error = self.record["error"]
        if error is None or self.having("confirmed") or any(node["output_gradient"] for node in self.record["nodes"]):
            return ""
        return error["message"]

    @property
    def stopped_at(self) -> str:
        """Where that happened, `net.py:12`; the script where no line of the user's is known."""
        error = self.record["error"]
        place = None if error is None else error["place"]
        return shown(self.record["script"]) if place is None else f"{shown(place['file'])}:{place['line']}"

    def having(self, *verdicts: str) -> list[Diagnostic]:
        """Diagnostics with one of the verdicts."""
        return [item for item in self.diagnostics if item.verdict is not None and item.verdict.verdict in verdicts]

    def failing(self, fail_on: str) -> list[Diagnostic]:
        """The diagnostics that fail a gate."""
        return failing(self.diagnostics, fail_on)


def failing(diagnostics: Sequence[Diagnostic], fail_on: str) -> list[Diagnostic]:
    """The diagnostics that fail a gate.

    confirmed: only what the trace confirmed. any: all but what it refuted. refuted: what it refuted too.
    """
    if fail_on == "refuted":
        return list(diagnostics)
    if fail_on == "confirmed":
        return [item for item in diagnostics if item.verdict is not None and item.verdict.verdict == "confirmed"]
    return [item for item in diagnostics if item.verdict is None or item.verdict.verdict != "refuted"]


def join(
    record: TraceRecord,
    static: Sequence[Diagnostic],
    rule: RULE,
    options: Mapping[str, Mapping[str, object]] = NO_OPTIONS,
    accepts: ACCEPTS = everything,
) -> Outcome:
    """Verdicts for the static findings, and the tracer's own findings as diagnostics, in the order of printing.

    A confirmed warning becomes an error with high confidence. A trace-only finding in the file of a static one
    that says the same, unless that was refuted, is left out; so is one that rests on something that the trace made up.
    """
    judged = [_raised(item) for item in attach(static, record, options)]
    taken = {
        (real_path(item.filename), item.name)
        for item in judged
        if item.verdict is not None and item.verdict.verdict != "refuted"
    }
    own: list[Diagnostic] = []
    sources = Sources()
    for observation in observe(record):
        finding = joined(observation.finding)
        spec = rule(finding.rule)
        if observation.verdict.verdict != "confirmed" or spec is None or not accepts(finding):
            continue
        if any((real_path(finding.path), name) in taken for name in said_by(spec.name)):
            continue
        own.append(replace(diagnostic(finding, spec, sources), verdict=observation.verdict))
    return Outcome(record, tuple(sorted([*judged, *own], key=lambda item: item.sort_key)))


def _raised(diagnostic: Diagnostic) -> Diagnostic:
    if diagnostic.verdict is None or diagnostic.verdict.verdict != "confirmed":
        return diagnostic
    severity = Severity.ERROR if diagnostic.severity is Severity.WARNING else diagnostic.severity
    return replace(diagnostic, severity=severity, confidence="high")
