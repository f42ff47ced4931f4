"""Did an optimizer that needs a closure get one that runs a backward and returns the loss?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import name_of
from gradlint.tracer.schema import Optimizer

DEPENDS_ON = frozenset({"loop"})
UNIT = "share of closure evaluations with a backward and a returned loss"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and error["kind"] == "script-error" and "closure" in error["message"]:
        return confirmed(f"the script stops: {error['message']}", 0.0, UNIT, 1.0)
    return worst(
        (_of_optimizer(evidence, optimizer) for optimizer in evidence.optimizers_at(claim)),
        otherwise="no optimizer was seen",
    )


def _of_optimizer(evidence: Evidence, optimizer: Optimizer) -> Verdict:
    steps = evidence.steps_of(optimizer["id"])
    calls = [event for event in evidence.closures if event["optimizer"] == optimizer["id"]]
    if calls:
        whole = [event for event in calls if event["backwards"] > 0 and event["value"] is not None]
        share = len(whole) / len(calls)
        if share < 1.0:
            lacking = "runs no backward" if calls[0]["backwards"] == 0 else "returns no loss"
            return confirmed(f"the closure of {name_of(optimizer)} {lacking}", share, UNIT, 1.0)
        return refuted(f"the closure of {name_of(optimizer)} runs a backward and returns the loss", share, UNIT, 1.0)
    if steps and optimizer["needs_closure"]:
        return confirmed(f"{name_of(optimizer)} was stepped without a closure", 0.0, UNIT, 1.0)
    if steps:
        return refuted(f"{name_of(optimizer)} does not need a closure", 1.0, UNIT, 1.0)
    return inconclusive(f"{name_of(optimizer)} made no OptimizerStep")
