"""A step longer than the curvature allows, which raises the loss on its own batch."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.curvature import exceeds_curvature, judge_step_length, raises_loss
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation

SAID_BY = frozenset({"high-learning-rate"})
DEPENDS_ON = frozenset({"data"})


def find(evidence: Evidence) -> Iterator[Observation]:
    """Both measurements must agree: each alone is wrong for about one run in ten."""
    for optimizer in evidence.optimizers.values():
        verdict = judge_step_length(evidence, optimizer)
        if verdict is None or not exceeds_curvature(evidence, optimizer) or not raises_loss(evidence, optimizer["id"]):
            continue
        name = optimizer["class_name"]
        yield from observation(evidence, "learning-rate-above-curvature", optimizer["constructed"], verdict, layer=name)
