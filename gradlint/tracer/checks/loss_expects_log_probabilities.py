"""Are the rows given to NLL, KL divergence or CTC log-probabilities?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import is_probabilities, losses_named
from gradlint.tracer.schema import LossCall

DEPENDS_ON = frozenset({"loss"})
UNIT = "share of rows whose exponentials sum to 1"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    calls = losses_named(evidence, claim, "nll_loss", "kl_div", "ctc_loss")
    return worst((_of_call(call) for call in calls), otherwise="no NLL, KL or CTC loss was called in the trace")


def _of_call(loss: LossCall) -> Verdict:
    seen = loss["input_range"]
    if seen is None:
        return inconclusive("the input of the loss was not measured")
    share = seen["rows_logsumexp_zero"]
    if share >= 0.99:
        return refuted("the loss receives log-probabilities", share, UNIT, 0.99)
    what = "probabilities" if is_probabilities(seen) else "values that are no log-probabilities"
    told = f" up to {seen['maximum']:.2g}" if seen["maximum"] > 0.0 else ""
    return confirmed(f"{loss['name']} receives {what}{told}", share, UNIT, 0.99)
