"""Trainable parameters that no backward reached, though their optimizer steps."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence, elements
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.schema import Parameter

SAID_BY = frozenset(
    {
        "unused-layer",
        "detached-loss",
        "no-grad-training-forward",
        "non-differentiable-op",
        "numpy-in-forward",
        "module-created-in-forward",
        "parameter-replaced-after-optimizer",
        "optimizer-parameter-mismatch",
    }
)
DEPENDS_ON = frozenset({"loss"})
UNIT = "share of the trainable parameters that no backward reached"


def find(evidence: Evidence) -> Iterator[Observation]:
    stepped = {step["optimizer"] for step in evidence.optimizer_steps if step["backwards"] > 0}
    whole = elements(evidence.trainable())
    owners: dict[str, list[Parameter]] = {}
    for parameter in evidence.trainable():
        if not parameter["reached"] and stepped & set(parameter["optimizers"]):
            owners.setdefault(parameter["name"].rpartition(".")[0], []).append(parameter)
    for owner, parameters in owners.items():
        share = elements(parameters) / max(1, whole)
        used = "called, but cut off from the loss" if parameters[0]["used"] else "never called"
        told = f"`{owner or parameters[0]['name']}` is {used}: {len(parameters)} of its parameters got no gradient"
        place = parameters[0]["constructed"]
        yield from observation(evidence, "unused-parameter", place, confirmed(told, share, UNIT, 0.0), layer=owner)
