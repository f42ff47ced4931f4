"""What one trace says about every finding: the join of a record with the checks beside this file.

A check is a module of `gradlint.tracer.checks` named like its rule. For a rule that the static wing serves it has

    def judge(evidence: Evidence, claim: Claim) -> Verdict

and for a rule of the tracer's own

    def find(evidence: Evidence) -> Iterator[Observation]

Only dimensionless quantities decide, so a verdict does not depend on the scale of the loss. A module says with
`DEPENDS_ON` what its decision rests on: "data" (the values of the data), "loop" (what the script's own loop did, and in
which order), "loss" (the script's own loss). Its verdicts become inconclusive where the trace had to invent that. A
module that needs to see more than the first OptimizerSteps names it with `AWAITS` (see
`gradlint.tracer.run.TraceOptions`). A rule of the tracer's own names with `SAID_BY` the static rules that say the same.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType, ModuleType

from gradlint.diagnostics import Diagnostic, Verdict
from gradlint.tracer import checks
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.observation import Observation
from gradlint.tracer.schema import TraceRecord

INCONCLUSIVE = "inconclusive"
NO_OPTIONS: Mapping[str, Mapping[str, object]] = MappingProxyType({})


def judge(record: TraceRecord, claim: Claim) -> Verdict | None:
    """The verdict on one claim; None if no measurement exists for its rule."""
    module = _modules().get(claim.rule)
    if module is None or not hasattr(module, "judge"):
        return None
    evidence = Evidence(record)
    if not evidence.measured and record["error"] is None:
        return Verdict(INCONCLUSIVE, "nothing was measured")
    verdict: Verdict = module.judge(evidence, claim)
    if verdict.verdict == INCONCLUSIVE and evidence.failure:
        return replace(verdict, reason=f"{verdict.reason}; the trace ended early: {evidence.failure}")
    return _under_assumptions(record, getattr(module, "DEPENDS_ON", frozenset()), verdict)


def attach(
    diagnostics: Sequence[Diagnostic], record: TraceRecord, options: Mapping[str, Mapping[str, object]] = NO_OPTIONS
) -> list[Diagnostic]:
    """The same diagnostics, each with the verdict of the trace where its rule has one.

    `options`: rule name -> its configured options; a measurement uses the same thresholds as the static rule.
    """
    attached: list[Diagnostic] = []
    for diagnostic in diagnostics:
        verdict = judge(record, Claim.of(diagnostic, _numbers(options.get(diagnostic.name, {}))))
        attached.append(diagnostic if verdict is None else replace(diagnostic, verdict=verdict))
    return attached


def _numbers(options: Mapping[str, object]) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in options.items() if isinstance(value, int | float)]


def observe(record: TraceRecord) -> Iterator[Observation]:
    """Findings of the tracer's own, over all trace-only rules."""
    evidence = Evidence(record)
    for module in _modules().values():
        if hasattr(module, "find"):
            for observation in module.find(evidence):
                depends = observation.depends or getattr(module, "DEPENDS_ON", frozenset())
                yield replace(observation, verdict=_under_assumptions(record, depends, observation.verdict))


def rules_with_verdict() -> frozenset[str]:
    """Names of the static rules that a trace can confirm or refute."""
    return frozenset(name for name, module in _modules().items() if hasattr(module, "judge"))


def awaited(rules: Iterable[str]) -> frozenset[str]:
    """What a trace has to wait for beyond its OptimizerSteps, to judge findings of these rules."""
    known = _modules()
    return frozenset(event for rule in rules if rule in known for event in getattr(known[rule], "AWAITS", ()))


def said_by(rule: str) -> frozenset[str]:
    """Static rules whose finding in the same file makes one of this trace-only rule a repetition."""
    found: frozenset[str] = getattr(_modules()[rule], "SAID_BY", frozenset())
    return found


def trace_only_rules() -> frozenset[str]:
    """Names of the rules that only a trace can find."""
    return frozenset(name for name, module in _modules().items() if hasattr(module, "find"))


def _under_assumptions(record: TraceRecord, depends: frozenset[str], verdict: Verdict) -> Verdict:
    invented = [item for item in record["assumptions"] if item["kind"] in _INVENTED and depends & set(item["affects"])]
    if not invented or verdict.verdict == INCONCLUSIVE:
        return verdict
    told = invented[0]["message"].rstrip(".")
    return replace(verdict, verdict=INCONCLUSIVE, reason=f"{verdict.reason}, but measured under an assumption: {told}")


_INVENTED = frozenset(("synthetic-dataset", "synthetic-file", "stubbed-module", "batch-cap", "built"))


@cache
def _modules() -> Mapping[str, ModuleType]:
    """Rule name -> check module, by the files in `gradlint/tracer/checks`."""
    return {
        info.name.replace("_", "-"): importlib.import_module(f"{checks.__name__}.{info.name}")
        for info in pkgutil.iter_modules(checks.__path__)
    }
