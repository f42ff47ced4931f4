"""Are the numbers given as probabilities or logits such, and does a sample leave out a gradient that is needed?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import is_probabilities
from gradlint.tracer.schema import Distribution

UNIT = "share of rows that sum to 1"
WRONG_PROBS = ("Expected parameter probs", "probability tensor contains either")


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    error = evidence.record["error"]
    if error is not None and any(text in error["message"] for text in WRONG_PROBS):
        return confirmed(f"the script stops: {error['message']}")
    everyone = evidence.record["distributions"]
    here = [item for item in everyone if claim.covers(item["constructed"]) or claim.covers(item["sampled"])]
    return worst((_of(item, claim) for item in here), otherwise="no distribution was built on this line in the trace")


def _of(item: Distribution, claim: Claim) -> Verdict:
    if item["cut"] and not item["scored"]:
        return confirmed(f"`sample()` of {item['class_name']} left out the gradient of its parameters")
    seen, share = item["given"], None
    if seen is not None and item["argument"] is not None:
        multi = item["class_name"] == "Categorical"
        share = seen["rows_sum_to_one"] if multi else float(seen["in_unit_interval"])
        values = f"values from {seen['minimum']:.2g} to {seen['maximum']:.2g}"
        told = f"{item['class_name']} got {values} as {item['argument']}"
        probabilities = is_probabilities(seen) if multi else seen["in_unit_interval"]
        if item["argument"] == "logits" and multi and probabilities:
            return confirmed(f"{told}, rows that sum to 1", share, UNIT, 0.99)
        if item["argument"] == "probs" and not probabilities:
            return confirmed(told, share, UNIT, 0.99)
        if item["argument"] == "logits" and probabilities:
            return inconclusive(f"{told}, which could be either", share, UNIT, 0.99)
        return refuted(told, share, UNIT, 0.99)
    if item["sampled"] is not None and (item["scored"] or not item["cut"]):
        return refuted(f"no gradient was wanted through the sample of {item['class_name']}")
    return inconclusive("the argument of the distribution was not seen")
