"""The three answers, and how answers about several subjects become one."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.diagnostics import Verdict


def confirmed(reason: str, value: float | None = None, unit: str = "", threshold: float | None = None) -> Verdict:
    """The measurement shows what the finding claims."""
    return Verdict("confirmed", reason, value, unit, threshold)


def refuted(reason: str, value: float | None = None, unit: str = "", threshold: float | None = None) -> Verdict:
    """The measurement shows the opposite of what the finding claims."""
    return Verdict("refuted", reason, value, unit, threshold)


def inconclusive(reason: str, value: float | None = None, unit: str = "", threshold: float | None = None) -> Verdict:
    """The trace did not measure what would decide."""
    return Verdict("inconclusive", reason, value, unit, threshold)


def worst(verdicts: Iterable[Verdict], otherwise: str) -> Verdict:
    """Confirmed if one subject is, refuted if all are, else inconclusive; `otherwise`: the reason without subjects."""
    everyone = list(verdicts)
    for kind in ("confirmed", "inconclusive"):
        for verdict in everyone:
            if verdict.verdict == kind:
                return verdict
    return everyone[0] if everyone else inconclusive(otherwise)
