"""Is one parameter held twice by what steps?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements

UNIT = "share of the held parameters that are in more than one group of the optimizers that step"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and "appear in more than one parameter group" in error["message"]:
        return confirmed(f"the script stops: {error['message']}", None, UNIT, 0.0)
    stepped = {step["optimizer"] for step in evidence.optimizer_steps}
    held = [parameter for parameter in evidence.parameters.values() if stepped & set(parameter["optimizers"])]
    if not held:
        return inconclusive("no optimizer stepped a parameter")
    twice = [parameter for parameter in held if sum(optimizer in stepped for optimizer, _ in parameter["groups"]) > 1]
    share = elements(twice) / max(1, elements(held))
    if twice:
        return confirmed(f"`{twice[0]['name']}` and {len(twice) - 1} more are stepped twice", share, UNIT, 0.0)
    return refuted("every parameter is in one group of one optimizer", share, UNIT, 0.0)
