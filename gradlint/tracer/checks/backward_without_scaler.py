"""Did a loss go backward unscaled, or gradients reach the OptimizerStep still scaled, while a GradScaler is in use?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence

DEPENDS_ON = frozenset({"loop"})
SCALER_ERRORS = ("No inf checks were recorded", "step but _scale is None", "scaler.scale(loss or outputs)")
UNIT = "factor on the gradients at the OptimizerStep"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and any(text in error["message"] for text in SCALER_ERRORS):
        return confirmed(f"the script stops: {error['message']}", None, UNIT, 1.0)
    backwards, steps = evidence.backwards, evidence.optimizer_steps
    if not backwards or not steps:
        return inconclusive("no backward and OptimizerStep were seen")
    left = [step["scale"] for step in steps if step["scale"] is not None and step["scale"] != 1.0]
    if left:
        return confirmed(f"the OptimizerStep used gradients multiplied by {left[0]:g}", left[0], UNIT, 1.0)
    scaled = [event for event in backwards if event["scaled"]]
    if scaled and len(scaled) == len(backwards):
        return refuted("every loss was scaled and every gradient unscaled before its OptimizerStep", 1.0, UNIT, 1.0)
    if evidence.scaler_steps or scaled:
        factor = evidence.scaler_steps[0]["scale"] if evidence.scaler_steps else 2.0**16
        return confirmed(
            f"a loss went backward unscaled and the scaler divided its gradient by {factor:g}", 1.0 / factor, UNIT, 1.0
        )
    return inconclusive("no GradScaler was active in the trace: it is disabled on this device")
