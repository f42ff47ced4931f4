"""The user's own autograd.Functions whose backward is not the derivative of their forward."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation

UNIT = "difference from central differences in float64, relative to the larger"
LIMIT = 0.01


def find(evidence: Evidence) -> Iterator[Observation]:
    """One finding for each class that was called and surely disagrees."""
    for function in evidence.record["functions"]:
        if function["agrees"] is False and function["max_error"] is not None:
            name, error = function["class_name"], function["max_error"]
            told = f"the backward of `{name}` is {error:.0%} off the slope of its forward, on the inputs it received"
            place = function["defined"] or function["called"]
            verdict = confirmed(told, error, UNIT, LIMIT)
            yield from observation(evidence, "unchecked-autograd-function", place, verdict, layer=name)
