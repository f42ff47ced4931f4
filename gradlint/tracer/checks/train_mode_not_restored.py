"""Is the network still in eval mode when it is trained again?"""

from __future__ import annotations

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import ForwardEvent

DEPENDS_ON = frozenset({"loop"})
AWAITS = frozenset({"evaluation"})
UNIT = "share of training forwards with mode-dependent layers in eval mode"


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    trained = [event for event in evidence.forwards if event["grad_enabled"] and _is_trained(evidence, event)]
    # A loss is a module as well: where a network has layers that depend on the mode, only such networks count.
    trained = [event for event in trained if event["modes"]] or trained
    switched = [event for event in evidence.modes if not event["training"]]
    if not trained:
        return inconclusive("no training forward was seen")
    frozen = [event for event in trained if _is_frozen(event)]
    share = len(frozen) / len(trained)
    if frozen and (switched or len(frozen) < len(trained)):
        names = ", ".join(f"`{name}`" for name, training in list(frozen[0]["modes"].items())[:3] if not training)
        told = f" ({names})" if names else ""
        return confirmed(f"{len(frozen)} of {len(trained)} training forwards run in eval mode{told}", share, UNIT, 0.0)
    if not switched:
        return inconclusive("the trace ended before the switch to eval mode", share, UNIT, 0.0)
    if trained[-1]["order"] < switched[0]["order"]:
        return inconclusive("the trace ended before the training after the evaluation", share, UNIT, 0.0)
    return refuted("after the evaluation the network trains in train mode again", share, UNIT, 0.0)


def _is_trained(evidence: Evidence, forward: ForwardEvent) -> bool:
    """Whether the next event of weight after the forward is a backward, not another forward of the same network."""
    for event in evidence.record["events"]:
        if event["order"] <= forward["order"]:
            continue
        if event["kind"] == "backward":
            return True
        if (
            event["kind"] == "forward"
            and event["fqn"] == forward["fqn"]
            and event["class_name"] == forward["class_name"]
        ):
            return False
    return False


def _is_frozen(forward: ForwardEvent) -> bool:
    return not all(forward["modes"].values()) if forward["modes"] else not forward["training"]
