"""GL106: a module, or a part of one, that the loss trains and that no optimizer holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Construct,
    Forward,
    OptimizerStep,
    repeats,
    walk,
)  # fmt: skip
from gradlint.facts.left_out import forgotten, parameters_left, parts_left
from gradlint.facts.lightning import automatic_steps
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Choice, Instance, Layer, Mapping, Optimizer, Place, Tensor, Value
from gradlint.options import Options


@dataclass(frozen=True, eq=False)
class _Training:
    """A loss that is back-propagated in a loop, the modules that the loop calls and the optimizers that it steps, the
    one that it steps next first. `near`: those stepped in the innermost loop.
    """

    loss: Tensor
    place: Place
    called: frozenset[Value]
    steps: list[Value]
    near: list[Value]


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Compare what each backward of a loop reaches with what all optimizers of the file hold."""
    events = [*(event for run in facts.runs for event in run.events), *facts.froze]
    stepped = [optimizer for e in events if isinstance(e, OptimizerStep) for optimizer in _each(e.optimizer)]
    built = [e.value for e in events if isinstance(e, Construct) and isinstance(e.value, Optimizer)]
    optimizers = list(dict.fromkeys((*built, *stepped)))
    if not all(isinstance(o, Optimizer) and o.protocol and o.managed != "deepspeed" for o in stepped):
        return
    seen: set[object] = set()
    told: set[str] = set()
    for training in (*_loops(facts), *_framework(facts, built)):
        roots = [root for root in _roots(training.loss) if root in training.called]
        missing = [f"`{facts.name_of(root, 'a module')}`" for root in roots if forgotten(root, optimizers, events)]
        missing += [f"`{facts.name_of(p, 'a Parameter')}`" for p in parameters_left(training.loss, optimizers, events)]
        if not missing:
            missing = [part for root in roots for part in parts_left(facts, training.loss, root, optimizers, events)]
        optimizer = _responsible(training)
        if not told.issuperset(missing) and optimizer is not None and optimizer.place not in seen:
            seen.add(optimizer.place)
            told.update(missing)
            held = relations.sources(optimizer) or []
            values: dict[str, str | int | float] = {
                "optimizer": facts.name_of(optimizer, "optimizer"),
                "held": ", ".join(dict.fromkeys(f"`{facts.name_of(part, 'other parameters')}`" for part in held)),
                "backward_line": training.place.line_from(optimizer.place.path),
                "missing": ", ".join(sorted(missing)),
            }
            yield Finding("optimizer-parameter-mismatch", optimizer.place.path, Range(*optimizer.place.at), values)


def _each(optimizer: Value) -> tuple[Value, ...]:
    return optimizer.options if isinstance(optimizer, Choice) else (optimizer,)


def _loops(facts: TrainingFacts) -> Iterator[_Training]:
    for run in facts.runs:
        inside = dict.fromkeys(e for loop in repeats(run.tree) for e in walk(loop.body))
        called = frozenset(e.module for e in inside if isinstance(e, Forward))
        order = list(inside)
        for index, event in enumerate(order):
            if isinstance(event, Backward) and event.tensor is not None:
                steps = (e for e in (*order[index:], *order[:index]) if isinstance(e, OptimizerStep))
                stepped = list(dict.fromkeys(o for e in steps for o in _each(e.optimizer)))
                around = walk(repeats_around(run.tree, event)[-1].body)
                near = dict.fromkeys(o for e in around if isinstance(e, OptimizerStep) for o in _each(e.optimizer))
                yield _Training(event.tensor, event.place, called, stepped, list(near))


def _framework(facts: TrainingFacts, built: list[Optimizer]) -> Iterator[_Training]:
    """Lightning back-propagates what a training step returns, and steps what the module's class builds."""
    for run in automatic_steps(facts):
        loss = run.result.items.get("loss") if isinstance(run.result, Mapping) else run.result
        owner = run.name.rpartition(".")[0]
        configured = [r for r in facts.runs if r.name == f"{owner}.configure_optimizers"]
        own = [e.value for r in configured for e in r.events if isinstance(e, Construct)]
        # `self.parameters()` is everything that is registered.
        everything = any(
            isinstance(source, Instance) and source.name == owner
            for optimizer in own
            if isinstance(optimizer, Optimizer)
            for source in relations.sources(optimizer) or []
        )
        if isinstance(loss, Tensor) and loss.place is not None and configured and not everything:
            called = frozenset(e.module for e in run.events if isinstance(e, Forward))
            yield _Training(loss, loss.place, called, list(built), [])


def _roots(loss: Tensor) -> list[Value]:
    return [root for root in loss.roots if isinstance(root, (Layer, Instance)) and relations.has_parameters(root)]


def _responsible(training: _Training) -> Optimizer | None:
    """The optimizer that the backward is for: the one it reaches, else the only one there is, or beside it."""
    steps = [o for o in training.steps if isinstance(o, Optimizer)]
    reached = [o for o in steps if any(relations.overlap(root, o) for root in training.loss.roots)]
    if reached:
        return reached[0]
    for only in (steps, training.near):
        if len(only) == 1 and isinstance(only[0], Optimizer):
            return only[0]
    return None
