"""Weight matrices whose rows are alike and receive the same gradient."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.symmetry import SHARE, identical_units, rows_alike

SAID_BY = frozenset({"constant-init"})
UNIT = "share of identical rows in a weight gradient"


def find(evidence: Evidence) -> Iterator[Observation]:
    for parameter in identical_units(evidence, evidence.trainable()):
        name, share = parameter["name"], rows_alike(parameter)
        told = f"the {parameter['shape'][0]} units of `{name}` have the same weights and the same gradient"
        verdict = confirmed(told, share, UNIT, SHARE)
        yield from observation(evidence, "identical-units", parameter["constructed"], verdict, layer=name)
