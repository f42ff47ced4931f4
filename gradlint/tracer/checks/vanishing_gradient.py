"""A network whose first layers get next to nothing of the gradient, or none, or a layer that hardly moves."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.measure import decay, last_steps, matrices
from gradlint.tracer.observation import Observation, observation
from gradlint.tracer.schema import Node, Parameter
from gradlint.tracer.vanishing import UNIT, describe

SAID_BY = frozenset(
    {
        "saturating-stack",
        "deep-plain-stack",
        "default-init-deep",
        "init-scale",
        "init-activation-mismatch",
        "vanilla-rnn-long-sequence",
    }
)
DECADES = 4.0
SLOW = -6.0
SLOW_UNIT = "log10 of update/weight ratio over the largest layer's"


def find(evidence: Evidence) -> Iterator[Observation]:
    seen: set[int] = set()
    for chain in evidence.chains(evidence.shown_round()):
        found = decay(chain)
        if found is None or found.decades > -DECADES:
            continue
        seen.add(found.first["root"])
        culprit = evidence.culprit(chain)
        told = describe(found)
        if culprit is not None:
            told += f"; the smallest local gain is at `{culprit['fqn'] or culprit['class_name']}`"
        shown = culprit or found.first
        place = shown["constructed"] or (shown["called"] if shown["kind"] == "function" else None)
        place = place or found.first["constructed"] or found.first["called"]
        verdict = confirmed(told, found.decades, UNIT, -DECADES)
        yield from observation(evidence, "vanishing-gradient", place, verdict, layer=found.first["fqn"])
    yield from _ended(evidence)
    yield from _slow(evidence, seen)


def _ended(evidence: Evidence) -> Iterator[Observation]:
    """Weights whose gradient is exactly 0 at every OptimizerStep, because a call passes nothing of what it gets.

    Where the loss itself has no gradient (rewards that are all alike, a margin that is met) no call is to blame.
    """
    idle = {parameter["name"] for parameter in matrices(evidence) if _is_idle(parameter)}
    calls: dict[tuple[str, str, int], list[Node]] = {}
    for node in evidence.nodes.values():
        if node["is_leaf"] and node["output_gradient"] is not None and node["input_gradient"] is not None:
            calls.setdefault((node["fqn"], node["class_name"], node["root"]), []).append(node)
    sources: dict[str, list[str]] = {}
    for edge in evidence.record["edges"]:
        sources.setdefault(edge["target"], []).append(edge["source"])
    for nodes in calls.values():
        if len({node["round"] for node in nodes}) < 2 or any(node["local_gain"] != 0.0 for node in nodes):
            continue
        if nodes[0]["activation_kind"] == "relu":
            continue
        lost = sorted(idle & _weights_before(evidence, nodes[0]["id"], sources))
        if lost:
            idle -= set(lost)
            name = " ".join(part for part in (nodes[0]["fqn"], nodes[0]["class_name"]) if part)
            told = f"nothing of the gradient passes `{name}`: that of `{lost[0]}` is exactly 0 at every OptimizerStep"
            verdict = confirmed(told, 0.0, "gradient behind the call over the gradient before it", 0.0)
            place = nodes[0]["called"] or nodes[0]["constructed"]
            yield from observation(evidence, "vanishing-gradient", place, verdict, layer=nodes[0]["fqn"])


def _is_idle(parameter: Parameter) -> bool:
    steps = [step for step in parameter["steps"] if step["optimizer"] is not None]
    return len(steps) > 1 and all(step["grad_norm"] == 0.0 for step in steps)


def _weights_before(evidence: Evidence, call: str, sources: dict[str, list[str]]) -> set[str]:
    """Names of the parameters of all calls that lead to this one."""
    waiting, seen = [call], {call}
    while waiting:
        for name in sources.get(waiting.pop(), ()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return {
        name for before in seen - {call} if before in evidence.nodes for name in evidence.nodes[before]["parameters"]
    }


def _slow(evidence: Evidence, seen: set[int]) -> Iterator[Observation]:
    """Layers that move a million times less than the fastest one, whatever the loss is multiplied by."""
    ratios = {
        item.parameter["name"]: item.step["update_ratio"]
        for item in last_steps(evidence)
        if item.step["update_ratio"] and item.step["grad_norm"] and item.parameter["root"] not in seen
    }
    largest = max(ratios.values(), default=None)
    if largest is None:
        return
    for name, ratio in ratios.items():
        decades = math.log10(ratio / largest)
        if decades <= SLOW:
            told = f"`{name}` moves by {ratio:.1e} of its size in an OptimizerStep, the fastest layer by {largest:.1e}"
            place = evidence.parameters[name]["constructed"]
            verdict = confirmed(told, decades, SLOW_UNIT, SLOW)
            yield from observation(evidence, "vanishing-gradient", place, verdict, layer=name)
