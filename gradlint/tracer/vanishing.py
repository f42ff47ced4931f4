"""How the gradient of a stack decays, measured, against what a finding claims."""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.facts.magnitudes import format_decades
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.measure import Decay, decay
from gradlint.tracer.schema import Node

UNIT = "decades of gradient amplitude, first layer over last"
DECADES = 3.0
SPREAD = 0.5
"""Decades within which another seed may come out on the other side of the threshold (finite width)."""


def judge_decay(evidence: Evidence, claim: Claim) -> Verdict:
    """Confirmed at `decades` or more of loss, refuted clearly below it."""
    chain = evidence.stack_at(claim)
    if len(chain) < 2:
        silent = _silent(evidence)
        if silent is not None:
            return confirmed(f"no gradient at all reaches `{silent['fqn']}`", None, UNIT, -DECADES)
        return inconclusive("fewer than two layers with a gradient were measured")
    found = decay(chain)
    if found is None:
        return inconclusive("the gradient was not measured at both ends of the stack")
    limit = -claim.option("decades", DECADES)
    told = describe(found)
    if found.decades <= limit:
        return confirmed(told, found.decades, UNIT, limit)
    if found.decades <= limit + SPREAD:
        return inconclusive(f"{told}, within the spread of seeds of the threshold", found.decades, UNIT, limit)
    return refuted(told, found.decades, UNIT, limit)


def judge_change(evidence: Evidence, claim: Claim) -> Verdict:
    """Like `judge_decay`, and confirmed as well where the gradient grows by `decades` towards the first layer."""
    found = decay(evidence.stack_at(claim))
    limit = claim.option("decades", DECADES)
    if found is not None and found.decades >= limit:
        return confirmed(describe(found), found.decades, UNIT, limit)
    if found is not None and found.decades >= limit - SPREAD:
        told = f"{describe(found)}, within the spread of seeds of the threshold"
        return inconclusive(told, found.decades, UNIT, limit)
    return judge_decay(evidence, claim)


def describe(found: Decay) -> str:
    """The measured ratio in words."""
    ratio = format_decades(found.decades)
    return (
        f"gradient at `{found.first['fqn']}` measured {ratio} of the one at `{found.last['fqn']}` "
        f"({found.factor:.3g} a layer over {found.layers} layers)"
    )


def _silent(evidence: Evidence) -> Node | None:
    """A weight call whose output gradient is exactly zero."""
    for node in evidence.record["nodes"]:
        gradient = node["output_gradient"]
        if (
            node["round"] == 0
            and node["is_leaf"]
            and node["parameters"]
            and gradient
            and gradient["second_moment"] == 0.0
        ):
            return node
    return None
