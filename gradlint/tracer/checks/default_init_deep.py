"""Does the stack lose its gradient, and are its weights still those of the default initialiser?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.vanishing import judge_decay

UNIT = "standard deviation of the weights over that of the default initialiser"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    ratios = sorted(_ratios(evidence, claim))
    if ratios and not 0.8 <= ratios[len(ratios) // 2] <= 1.25:
        middle = ratios[len(ratios) // 2]
        return refuted(
            f"the weights are {middle:.2g} times as large as the default initialiser makes them", middle, UNIT, 1.0
        )
    return judge_decay(evidence, claim)


def _ratios(evidence: Evidence, claim: Claim) -> Iterator[float]:
    """std(W) √(3 fan_in): 1 for PyTorch's default."""
    for node in evidence.stack_at(claim):
        for name in node["parameters"]:
            parameter = evidence.parameters.get(name)
            if (
                parameter
                and len(parameter["shape"]) >= 2
                and parameter["fan_in"]
                and parameter["initial_std"] is not None
            ):
                yield parameter["initial_std"] * math.sqrt(3.0 * parameter["fan_in"])
