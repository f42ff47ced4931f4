"""Does a tensor that should be a Parameter receive gradients that no optimizer sees?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence, elements
from gradlint.tracer.measure import is_hidden

UNIT = "share of the network's used parameters that are in no module.parameters()"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    used = [parameter for parameter in evidence.trainable() if parameter["used"]]
    if not used:
        return inconclusive("no parameter was used in a forward")
    here = [parameter for parameter in evidence.parameters_at(claim) if parameter["requires_grad"]] or used
    lost = [parameter for parameter in here if parameter["used"] and is_hidden(parameter)]
    share = elements(lost) / max(1, elements(used))
    if lost:
        held = (
            "no optimizer holds" if not any(parameter["optimizers"] for parameter in lost) else "the state_dict misses"
        )
        return confirmed(
            f"{len(lost)} tensors that require grad are used in forward and registered in no module; {held} them",
            share,
            UNIT,
            0.0,
        )
    return refuted("every tensor that requires grad is a registered parameter", share, UNIT, 0.0)
