"""Can the recurrent gradient explode at the weights it has?

The gradient of a step back in time is bounded by gamma * sigma_max of the recurrent weight, gamma the largest slope of
the nonlinearity: 1 for tanh and ReLU, 1/4 for the sigmoid gates of LSTM and GRU (Pascanu et al. 2013).
"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted, worst
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import Recurrent

UNIT = "largest singular value of the recurrent weight over 1/gamma"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    clips = [event for event in evidence.clips if event["with_gradient"] > 0]
    if clips:
        return refuted(
            f"gradients are clipped to {clips[0]['how']} {clips[0]['max_norm']:g}", float(len(clips)), "clips", 1.0
        )
    return worst(
        (_of_module(item) for item in evidence.recurrent_at(claim)),
        otherwise="no recurrent module was called in the trace",
    )


def _of_module(item: Recurrent) -> Verdict:
    gated = "LSTM" in item["class_name"] or "GRU" in item["class_name"]
    bound = max(item["sigma_max"], default=None)
    slope = item["decades_per_step"]
    if bound is None and slope is None:
        return inconclusive(f"nothing could be measured of `{item['fqn']}`")
    ratio = None if bound is None else bound * (0.25 if gated else 1.0)
    factor = None if slope is None else 10.0**slope
    if factor is not None and factor > 1.0:
        return confirmed(
            f"the gradient grows by {factor:.3g} for each step back in time", factor, "factor a time step", 1.0
        )
    told = "" if factor is None else f", though this batch shrinks by {factor:.2g} a step"
    if ratio is not None and ratio > 1.0:
        return confirmed(f"the recurrent weight of `{item['fqn']}` can amplify the gradient{told}", ratio, UNIT, 1.0)
    if ratio is None:
        return inconclusive("the recurrent weight was not measured", factor, "factor a time step", 1.0)
    told = "" if factor is None else f" and shrinks by {factor:.2g} a step"
    return refuted(f"the gradient through `{item['fqn']}` cannot grow at these weights{told}", ratio, UNIT, 1.0)
