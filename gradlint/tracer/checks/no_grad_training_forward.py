"""Was a module with trainable parameters called only where gradients are off?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements

DEPENDS_ON = frozenset({"loop"})
UNIT = "share of the optimised parameters called only without gradients"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    held = [parameter for parameter in evidence.trainable() if parameter["optimizers"] and parameter["used"]]
    dark = [parameter for parameter in held if parameter["called_without_grad"] and not parameter["reached"]]
    error = evidence.record["error"]
    if not held:
        return inconclusive("no parameter of an optimizer was used in a forward")
    share = elements(dark) / max(1, elements(held))
    if dark:
        return confirmed(
            f"`{dark[0]['name']}` was only ever called without gradients and received none", share, UNIT, 0.0
        )
    if error is not None and "does not require grad" in error["message"]:
        return confirmed(f"the script stops: {error['message']}", share, UNIT, 0.0)
    if any(event["reached"] for event in evidence.backwards):
        return refuted("the forward recorded its graph and the backward reached the parameters", share, UNIT, 0.0)
    return inconclusive("no backward reached a parameter", share, UNIT, 0.0)
