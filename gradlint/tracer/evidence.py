"""Questions asked of one trace record: which event, optimizer, parameter or node does a claim speak of?

Everything is looked up by (file, line): of the constructor, of the call, or of any user frame above the call.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from gradlint.diagnostics import Diagnostic, Range
from gradlint.tracer.cells import file_of, in_cell, text_at
from gradlint.tracer.schema import (
    BackwardEvent,
    ClearEvent,
    ClipEvent,
    ClosureEvent,
    Event,
    ForwardEvent,
    LossCall,
    ModeEvent,
    Node,
    Optimizer,
    OptimizerStepEvent,
    Parameter,
    ParameterStep,
    Place,
    Recurrent,
    ScalerEvent,
    StateDictEvent,
    TraceRecord,
    UnscaleEvent,
)

T = TypeVar("T")

OPERATION = 100.0
"""How much more than a layer an operation has to shrink the gradient to be named instead."""


@lru_cache(maxsize=1024)
def real_path(path: str) -> str:
    """The one name under which a file is compared."""
    return os.path.realpath(path)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a static finding says, reduced to what a measurement needs: the rule, its places and its values."""

    rule: str
    places: tuple[tuple[str, int, int], ...]
    options: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, diagnostic: Diagnostic, options: Iterable[tuple[str, float]] = ()) -> Claim:
        """The claim of a diagnostic; its related places count as its own."""
        ranges = [(file_of(diagnostic.filename, diagnostic.cell), diagnostic.range)]
        ranges += [in_cell(item.path, item.range) for item in diagnostic.related]
        places = tuple((real_path(path), span.line, max(span.line, span.end_line)) for path, span in ranges)
        return cls(diagnostic.name, places, tuple(options))

    def covers(self, place: Place | None) -> bool:
        """Whether the place is on a line of the claim."""
        if place is None:
            return False
        file = real_path(place["file"])
        return any(path == file and first <= place["line"] <= last for path, first, last in self.places)

    def option(self, name: str, default: float) -> float:
        """A number of the rule's options."""
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class Step:
    """One OptimizerStep of one parameter, with the parameter it belongs to."""

    parameter: Parameter
    step: ParameterStep


class Evidence:
    """A trace record with the lookups that checks share."""

    def __init__(self, record: TraceRecord) -> None:
        self.record = record
        self.parameters = {parameter["name"]: parameter for parameter in record["parameters"]}
        self.optimizers = {optimizer["id"]: optimizer for optimizer in record["optimizers"]}
        self.nodes = {node["id"]: node for node in record["nodes"]}

    @property
    def failure(self) -> str:
        """Why the trace is not complete, in one sentence; empty if it is."""
        error = self.record["error"]
        return "" if error is None else error["message"]

    @property
    def measured(self) -> bool:
        """Whether anything of the training loop was seen."""
        return bool(self.record["events"]) or bool(self.record["nodes"])

    @property
    def forwards(self) -> list[ForwardEvent]:
        return [event for event in self.record["events"] if event["kind"] == "forward"]

    @property
    def backwards(self) -> list[BackwardEvent]:
        return [event for event in self.record["events"] if event["kind"] in ("backward", "autograd_grad")]

    @property
    def clears(self) -> list[ClearEvent]:
        return [event for event in self.record["events"] if event["kind"] == "zero_grad"]

    @property
    def clips(self) -> list[ClipEvent]:
        return [event for event in self.record["events"] if event["kind"] == "clip"]

    @property
    def unscales(self) -> list[UnscaleEvent]:
        return [event for event in self.record["events"] if event["kind"] == "unscale"]

    @property
    def scaler_steps(self) -> list[ScalerEvent]:
        return [event for event in self.record["events"] if event["kind"] == "scaler_step"]

    @property
    def modes(self) -> list[ModeEvent]:
        return [event for event in self.record["events"] if event["kind"] == "mode"]

    @property
    def state_dicts(self) -> list[StateDictEvent]:
        return [event for event in self.record["events"] if event["kind"] == "state_dict"]

    @property
    def closures(self) -> list[ClosureEvent]:
        return [event for event in self.record["events"] if event["kind"] == "closure"]

    @property
    def optimizer_steps(self) -> list[OptimizerStepEvent]:
        return [event for event in self.record["events"] if event["kind"] == "optimizer_step"]

    def steps_of(self, optimizer: int) -> list[OptimizerStepEvent]:
        """OptimizerSteps of one optimizer in order."""
        return [event for event in self.optimizer_steps if event["optimizer"] == optimizer]

    def events_at(self, claim: Claim, events: Sequence[EventT]) -> list[EventT]:
        """The events on the claim's lines (call or any user frame above it); all of them if none is."""
        here = [event for event in events if claim.covers(event["place"])]
        here = here or [event for event in events if any(claim.covers(frame) for frame in event["stack"])]
        return here or list(events)

    def optimizers_at(self, claim: Claim) -> list[Optimizer]:
        """The optimizers a claim speaks of: built, stepped or fed by a backward on its lines; all if none is."""
        everyone = list(self.optimizers.values())
        here = [optimizer for optimizer in everyone if claim.covers(optimizer["constructed"])]
        if not here:
            stepped = {
                event["optimizer"]
                for event in self.optimizer_steps
                if claim.covers(event["place"]) or any(claim.covers(frame) for frame in event["stack"])
            }
            here = [optimizer for optimizer in everyone if optimizer["id"] in stepped]
        if not here:
            reached = {name for event in self.backwards if claim.covers(event["place"]) for name in event["reached"]}
            here = [optimizer for optimizer in everyone if reached & set(held(optimizer))]
        return here or everyone

    def losses_at(self, claim: Claim) -> list[LossCall]:
        """The loss calls on the claim's lines (built or called there); all of them if none is."""
        calls = self.record["losses"]
        here = [loss for loss in calls if claim.covers(loss["called"]) or claim.covers(loss["constructed"])]
        return here or calls

    def parameters_at(self, claim: Claim) -> list[Parameter]:
        """The parameters whose owner was built on the claim's lines, possibly none."""
        return [parameter for parameter in self.parameters.values() if claim.covers(parameter["constructed"])]

    def nodes_at(self, claim: Claim, round: int = 0) -> list[Node]:
        """The calls on, or of modules built on, the claim's lines, possibly none."""
        return [
            node
            for node in self.record["nodes"]
            if node["round"] == round and (claim.covers(node["constructed"]) or claim.covers(node["called"]))
        ]

    def recurrent_at(self, claim: Claim) -> list[Recurrent]:
        """The recurrent modules built or called on the claim's lines; all of them if none is."""
        everyone = self.record["recurrent"]
        here = [item for item in everyone if self._node_is_at(claim, item["node"])]
        return here or everyone

    def _node_is_at(self, claim: Claim, identifier: str) -> bool:
        node = self.nodes.get(identifier)
        return node is not None and (claim.covers(node["constructed"]) or claim.covers(node["called"]))

    def trainable(self) -> list[Parameter]:
        """Parameters that require grad."""
        return [parameter for parameter in self.parameters.values() if parameter["requires_grad"]]

    def rounds(self) -> int:
        """Rounds with nodes."""
        return max((node["round"] for node in self.record["nodes"]), default=-1) + 1

    def weight_nodes(self, round: int = 0) -> list[Node]:
        """Leaf calls of modules with a weight matrix and a measured gradient, in forward order; no embeddings."""
        return sorted(
            (node for node in self.record["nodes"] if node["round"] == round and self._is_weight(node)), key=_order
        )

    def _is_weight(self, node: Node) -> bool:
        if node["kind"] != "module" or not node["is_leaf"] or node["recomputed"] or not node["grad_enabled"]:
            return False
        if "Embedding" in node["class_name"] or amplitude(node) is None:
            return False
        return any(name in self.parameters and len(self.parameters[name]["shape"]) >= 2 for name in node["parameters"])

    def chains(self, round: int = 0) -> list[list[Node]]:
        """The weight calls of every network, each in forward order."""
        roots: dict[int, list[Node]] = {}
        shown = self.first_pass(round)
        for node in self.weight_nodes(round):
            if node["id"] in shown:
                roots.setdefault(node["root"], []).append(node)
        return list(roots.values())

    def first_pass(self, round: int = 0) -> set[str]:
        """Ids of the calls of one pass through every network.

        Of several backward calls in a round (accumulation, a discriminator on real and fake samples) the first that
        reached the network; of several calls of one module the first.
        """
        nodes = [node for node in self.record["nodes"] if node["round"] == round and node["backward"] is not None]
        earliest: dict[int, int] = {}
        for node in nodes:
            if node["kind"] == "module" and node["parameters"] and node["backward"] is not None:
                earliest[node["root"]] = min(node["backward"], earliest.get(node["root"], node["backward"]))
        passes = set(earliest.values())
        calls = [node for node in self.record["nodes"] if node["round"] == round and node["kind"] == "module"]
        later = {node["id"] for node in calls if node["call"] > 0}
        seen: set[tuple[int, str]] = set()
        shown: set[str] = set()
        for node in sorted(nodes, key=_order):
            key = (node["root"], node["fqn"])
            if node["kind"] == "function":
                if node["backward"] in passes and node["parent"] not in later:
                    shown.add(node["id"])
            elif node["backward"] == earliest.get(node["root"], node["backward"]) and key not in seen:
                seen.add(key)
                shown.add(node["id"])
        return shown

    def shown_round(self) -> int:
        """The round to show: the first, unless a zero-initialised layer hides part of it that the second shows."""
        hidden = {node["fqn"] for node in self.record["nodes"] if node["round"] == 0 and _is_silent(node)}
        visible = {node["fqn"] for node in self.weight_nodes(1)}
        return 1 if hidden & visible else 0

    def settled_round(self) -> int:
        """The round to judge magnitudes in: the second if there is one, since zero-initialised heads hide the first."""
        return min(1, max(0, self.rounds() - 1))

    def culprit(self, chain: Sequence[Node]) -> Node | None:
        """The layer or activation between the first and last of a chain that shrinks the gradient's norm most.

        Another operation is named where it shrinks the norm a hundred times more than any of them: the small factor of
        a pooling belongs to the architecture.
        """
        low, high = chain[0]["order"], chain[-1]["order"]
        candidates = [
            node
            for node in self.record["nodes"]
            if node["round"] == chain[0]["round"]
            and low < node["order"] <= high
            and node["is_leaf"]
            and norm_gain(node) is not None
        ]

        def rank(node: Node) -> float:
            is_layer = node["activation_kind"] is not None or node["parameters"]
            return (norm_gain(node) or 0.0) * (1.0 if is_layer else OPERATION)

        return min(candidates, key=rank, default=None)

    def stack_at(self, claim: Claim) -> list[Node]:
        """The weight calls that the claim speaks of: those built on its lines, else the network nearest to them."""
        chains = self.chains()
        if not chains:
            return []
        files = {path for path, _, _ in claim.places}

        def nearness(chain: list[Node]) -> tuple[int, int, int]:
            lines = sum(claim.covers(node["constructed"]) or claim.covers(node["called"]) for node in chain)
            same = sum(
                node["constructed"] is not None and real_path(node["constructed"]["file"]) in files for node in chain
            )
            return (lines, same, len(chain))

        chain = max(chains, key=nearness)
        named = [index for index, node in enumerate(chain) if claim.covers(node["constructed"])]
        return chain[named[0] : named[-1] + 1] if len(named) > 1 else chain


EventT = TypeVar("EventT", bound=Event)


def _order(node: Node) -> int:
    return node["order"]


def _is_silent(node: Node) -> bool:
    gradient = node["output_gradient"]
    return bool(node["is_leaf"] and node["parameters"] and gradient is not None and gradient["second_moment"] == 0.0)


def held(optimizer: Optimizer) -> list[str]:
    """Names of the parameters in the optimizer's groups."""
    return [name for group in optimizer["groups"] for name in group["parameters"]]


def elements(parameters: Iterable[Parameter]) -> int:
    """Number of scalars."""
    return sum(math.prod(parameter["shape"]) for parameter in parameters)


def amplitude(node: Node) -> float | None:
    """√E[δ²] at the node's output; None where it was not measured or is zero or not finite."""
    gradient = node["output_gradient"]
    if gradient is None:
        return None
    value = gradient["second_moment"]
    return math.sqrt(value) if value > 0.0 and math.isfinite(value) else None


def norm_gain(node: Node) -> float | None:
    """‖δ_in‖ / ‖δ_out‖ over all elements: unlike the gain an element it does not shrink where a layer narrows."""
    gain, before, after = node["local_gain"], node["input_gradient"], node["output_gradient"]
    if gain is None or not gain >= 0.0:
        return None
    widths = before["count"] / after["count"] if before is not None and after is not None and after["count"] else 1.0
    return math.sqrt(gain * widths)


def span_of(place: Place) -> Range:
    """The whole text of the line, as a range to point at."""
    text = text_at(place)
    start = len(text) - len(text.lstrip()) + 1
    return Range(place["line"], start, place["line"], max(len(text) + 1, start + 1))


def first(items: Iterable[T], accept: Callable[[T], bool]) -> T | None:
    """The first item that is accepted."""
    return next((item for item in items if accept(item)), None)
