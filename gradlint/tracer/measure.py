"""Measurements that several checks share: plain numbers out of a trace, dimensionless and free of the loss scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradlint.tracer.cells import line_of
from gradlint.tracer.evidence import Claim, Evidence, Step, amplitude
from gradlint.tracer.schema import LossCall, Node, Optimizer, Parameter, Range


@dataclass(frozen=True, slots=True)
class Decay:
    """Gradient amplitude over a chain of weight calls in forward order.

    decades: log10 of √E[δ²] at the first over the one at the last, negative = vanishing. factor: the same a layer.
    """

    first: Node
    last: Node
    layers: int
    decades: float

    @property
    def factor(self) -> float:
        """Geometric mean of the amplitude gain from one weight to the one before it."""
        return float(10.0 ** (self.decades / max(1, self.layers - 1)))


def decay(chain: Sequence[Node]) -> Decay | None:
    """The decay over a chain of weight calls; None with fewer than two."""
    if len(chain) < 2:
        return None
    first, last = amplitude(chain[0]), amplitude(chain[-1])
    if first is None or last is None:
        return None
    return Decay(chain[0], chain[-1], len(chain), math.log10(first) - math.log10(last))


def matrices(evidence: Evidence) -> list[Parameter]:
    """Trainable weight matrices whose gradient is not zero by construction."""
    return [
        parameter
        for parameter in evidence.trainable()
        if len(parameter["shape"]) >= 2 and parameter["zero_by_invariance"] is None
    ]


def last_steps(evidence: Evidence) -> Iterator[Step]:
    """For every trainable weight matrix its latest OptimizerStep."""
    for parameter in matrices(evidence):
        steps = [step for step in parameter["steps"] if step["optimizer"] is not None]
        if steps:
            yield Step(parameter, steps[-1])


def unheld(evidence: Evidence) -> list[Parameter]:
    """Trainable parameters that a backward reached and that no optimizer holds."""
    return [parameter for parameter in evidence.trainable() if parameter["reached"] and not parameter["optimizers"]]


def is_hidden(parameter: Parameter) -> bool:
    """Whether no module's parameters() of the network yields it: unregistered, or held through a plain list or dict."""
    return not parameter["registered"]


def reached_by_backward(evidence: Evidence, optimizer: Optimizer) -> int:
    """How many backward calls delivered a gradient to parameters of the optimizer."""
    names = {name for group in optimizer["groups"] for name in group["parameters"]}
    return sum(1 for event in evidence.backwards if names & set(event["reached"]))


def name_of(optimizer: Optimizer) -> str:
    """`SGD` or `Adam (line 12)`."""
    place = optimizer["constructed"]
    return optimizer["class_name"] if place is None else f"{optimizer['class_name']} of {line_of(place)}"


def losses_named(evidence: Evidence, claim: Claim, *names: str) -> list[LossCall]:
    """The claim's loss calls among the named losses."""
    return [loss for loss in evidence.losses_at(claim) if loss["name"] in names]


def is_probabilities(seen: Range) -> bool:
    """Rows in [0, 1] that sum to 1."""
    return seen["in_unit_interval"] and seen["rows_sum_to_one"] >= 0.99


def is_log_probabilities(seen: Range) -> bool:
    """Rows of non-positive numbers whose exponentials sum to 1."""
    return seen["all_nonpositive"] and seen["rows_logsumexp_zero"] >= 0.99


def came_from(loss: LossCall, *functions: str) -> bool:
    """Whether one of the autograd functions made the loss's input, through views only."""
    return any(name.lower().startswith(function.lower()) for name in loss["fed_by"][:1] for function in functions)
