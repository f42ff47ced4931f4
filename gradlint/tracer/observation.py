"""A finding of the tracer's own: a place in the user's code and the measurement that makes it one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range, Verdict
from gradlint.tracer.evidence import Evidence, span_of
from gradlint.tracer.schema import Place


@dataclass(frozen=True, slots=True)
class Observation:
    """A finding with its verdict, which is confirmed by what it is made of.

    `depends`: what the measurement rests on, where that differs from its module's `DEPENDS_ON`.
    """

    finding: Finding
    verdict: Verdict
    depends: frozenset[str] = frozenset()


def observation(
    evidence: Evidence,
    rule: str,
    place: Place | None,
    verdict: Verdict,
    *,
    layer: str,
    depends: frozenset[str] = frozenset(),
) -> Iterator[Observation]:
    """One observation at the place, or at the script's first line where no line of the user's is known."""
    path = evidence.record["script"] if place is None else place["file"]
    span = Range(1, 1, 1, 2) if place is None else span_of(place)
    values: dict[str, str | int | float] = {"layer": layer, "reason": verdict.reason}
    if verdict.value is not None:
        values["value"] = verdict.value
    yield Observation(Finding(rule, path, span, values), verdict, depends)
