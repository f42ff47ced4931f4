"""Do the prediction and the target of the loss have one shape?"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "elements of the broadcast pair over those of the prediction"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    return worst(
        (_of_call(loss) for loss in evidence.losses_at(claim) if loss["name"] != "custom"),
        otherwise="no loss with a prediction and a target was called in the trace",
    )


def _of_call(loss: LossCall) -> Verdict:
    if loss["input"] is None or loss["target"] is None:
        return inconclusive("the shapes of the loss's arguments were not seen")
    given, wanted = loss["input"]["shape"], loss["target"]["shape"]
    if not loss["broadcast"]:
        return refuted(f"prediction {tuple(given)} and target {tuple(wanted)} are compared one to one", 1.0, UNIT, 1.0)
    depth = max(len(given), len(wanted))
    pairs = zip([1] * (depth - len(given)) + given, [1] * (depth - len(wanted)) + wanted, strict=True)
    ratio = math.prod(max(pair) for pair in pairs) / max(1, math.prod(given))
    told = f"prediction {tuple(given)} and target {tuple(wanted)} are broadcast against each other"
    return confirmed(told, ratio, UNIT, 1.0)
