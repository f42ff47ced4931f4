"""Units that are alike and stay alike."""

from __future__ import annotations

from collections.abc import Sequence

from gradlint.tracer.evidence import Evidence
from gradlint.tracer.schema import Parameter

SHARE = 0.99


def identical_units(evidence: Evidence, parameters: Sequence[Parameter]) -> list[Parameter]:
    """Matrices whose rows are alike in the weight and in a gradient that is not all zero.

    A zero-initialised head passes: its rows receive different gradients. So does what lies below one, whose gradient is
    exactly zero in the first round and different in the next.
    """
    return [
        parameter
        for parameter in parameters
        if parameter["identical_weight_rows"]
        and len(parameter["shape"]) >= 2
        and parameter["shape"][0] > 1
        and rows_alike(parameter) >= SHARE
        and any(step["grad_norm"] for step in parameter["steps"])
    ]


def rows_alike(parameter: Parameter) -> float:
    """Share of rows of the weight gradient equal to the first one; 0 if it was not measured."""
    return parameter["identical_rows"] or 0.0
