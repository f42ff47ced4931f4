"""GL117: an optimizer that evaluates the loss itself, stepped without a closure or with one that lacks something."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import code
from gradlint.facts.events import (
    Backward,
    Branch,
    Call,
    Escape,
    Event,
    Exit,
    GradEdit,
    Node,
    OptimizerStep,
    ZeroGrad,
    walk,
)
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import NONE, Constant, FunctionValue, Optimizer, Place
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge each step of LBFGS and of optimizers whose own `step` asks for a closure."""
    seen: set[Place] = set()
    for run in facts.runs:
        steps = [e for e in run.events if isinstance(e, OptimizerStep)]
        for step in steps:
            optimizer = step.optimizer
            if (
                not isinstance(optimizer, Optimizer)
                or not optimizer.closure
                or optimizer.managed
                or step.via is not None
            ):
                continue
            # Where one line steps one of several optimizers, which of them it is hangs on the branch.
            if any(other.place == step.place and other.optimizer is not optimizer for other in steps):
                continue
            found = _problem(run.tree, step)
            if found is not None and found[0] not in seen:
                place, problem = found
                seen.add(place)
                values = {
                    "optimizer": facts.name_of(optimizer, "optimizer"),
                    "kind": optimizer.name,
                    "problem": problem,
                }
                yield Finding("missing-closure", place.path, Range(*place.at), values)


def _problem(tree: list[Node], step: OptimizerStep) -> tuple[Place, str] | None:
    closure = step.closure
    if closure is None:
        return step.place, "`step()` is called without one"
    if isinstance(closure, Constant):
        return (step.place, "`step()` is called without one") if closure.value is None else None
    if not isinstance(closure, FunctionValue) or not isinstance(closure.node, code.Function):
        return None
    body = _before(tree, step)
    events = walk(body)
    if any(isinstance(e, Escape) for e in events):
        return None
    place = Place(closure.scope.path, closure.node.at)
    edits = any(isinstance(e, GradEdit) for e in events)
    if not edits and not any(isinstance(e, Backward) for e in events):
        return place, f"`{closure.name}` never calls backward"
    if not edits and not any(isinstance(e, ZeroGrad) for e in events):
        return place, f"`{closure.name}` does not clear the gradients"
    if step.returned is NONE or not _returns(body):
        return place, f"`{closure.name}` does not return the loss"
    return None


def _returns(body: list[Node]) -> bool:
    return any(
        (isinstance(n, Exit) and n.kind == "return") or (isinstance(n, Branch) and any(map(_returns, n.arms)))
        for n in body
    )


def _before(nodes: list[Node], step: Event) -> list[Node]:
    """The body of the closure that ran inside a step: the call just before it."""
    for index, node in enumerate(nodes):
        if node is step:
            last = nodes[index - 1] if index else None
            return last.body if isinstance(last, Call) else []
        inner = node.arms if isinstance(node, Branch) else [] if isinstance(node, (Event, Exit)) else [node.body]
        for part in inner:
            found = _before(part, step)
            if found:
                return found
    return []
