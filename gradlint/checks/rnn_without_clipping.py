"""GL401: a step, or an update by hand, with gradients that went back through time and that nobody clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range
from gradlint.facts import code, relations
from gradlint.facts.clipping import may_clip, touches
from gradlint.facts.events import (
    Backward,
    Escape,
    Event,
    ManualUpdate,
    OptimizerStep,
    Repeat,
    Run,
    ZeroGrad,
)
from gradlint.facts.frameworks import MANAGERS
from gradlint.facts.frozen import frozen
from gradlint.facts.model import TrainingFacts
from gradlint.facts.moving import stepped, updated
from gradlint.facts.protocol import Machine, State, repeats_around
from gradlint.facts.through_time import recurrent
from gradlint.facts.updates import updates
from gradlint.facts.values import Collection, Layer, Optimizer, Place, Value, is_module
from gradlint.options import Options

_BOUNDED = frozenset({"LBFGS", "Rprop", "Muon"})
"""Optimizers of torch whose step does not grow with the gradient, or that search for its length."""
_MAY_CONFIGURE = frozenset({"gradient_clip_val", "plugins", "strategy", "**"})
"""Arguments of Lightning's Trainer that clip, or may."""


@dataclass(frozen=True)
class _Full:
    """Gradients of a Backward through `layer`; `touched` once somebody unseen got hold of them."""

    backward: Backward
    layer: Layer
    touched: Event | None = None


class _Unclipped(Machine):
    """Backward through time -> full -> step; for a module instead of an optimizer, the update by hand is the step."""

    watches = (Backward, OptimizerStep, ManualUpdate, ZeroGrad, Escape)

    def __init__(self, optimizer: Value, through: dict[int, Layer]) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.through = through

    def on(self, state: State, event: Event) -> State:
        if isinstance(event, Backward) and id(event) in self.through:
            return _Full(event, self.through[id(event)])
        if isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False:
            return self.start
        if not isinstance(state, _Full):
            return state
        if updated(event) is self.optimizer:
            self.report(event, "bad" if state.touched is None else "unsure", state.touched or state.backward)
        elif isinstance(event, Escape) and touches(event, self.optimizer):
            return _Full(state.backward, state.layer, event)
        return state


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every optimizer that a run steps after a Backward through a recurrent layer."""
    seen: set[Place] = set()
    for run in facts.runs if facts.recurrences else []:
        for optimizer in stepped(run.events):
            plain = is_module(optimizer) or (isinstance(optimizer, Optimizer) and _plain(facts, optimizer))
            if not plain or may_clip(facts, run, optimizer):
                continue
            through = _through(facts, run, optimizer, options.integer("steps"))
            for judgement in _Unclipped(optimizer, through).run(run.tree) if through else []:
                place = judgement.origin.place
                if place in seen or not (judgement.verdict == "sure" or (options.strict and judgement.bad)):
                    continue
                seen.add(place)
                yield _finding(facts, optimizer, through[id(judgement.bad[0])], place)
    yield from _unconfigured(facts, options.integer("steps"))


def _unconfigured(facts: TrainingFacts, least: int) -> Iterator[Finding]:
    """A LightningModule whose one Trainer in sight is built without `gradient_clip_val`."""
    trainers = [call for call in facts.calls if MANAGERS.get(call.name) == "lightning"]
    if len(trainers) != 1 or trainers[0].arguments or not _MAY_CONFIGURE.isdisjoint(trainers[0].keywords):
        return
    if not _watching(facts, trainers[0].keywords.get("callbacks")):
        return
    if not any(type(node) is code.Attribute and node.name == "fit" for node in facts.nodes):
        return
    for update in updates(facts) if facts.recurrences else ():
        loops = [node for node in update.run.tree if isinstance(node, Repeat)]
        for layer in recurrent(facts, update.loss, loops, least) if update.run.managed == "lightning" else ():
            for optimizer in facts.optimizers:
                held = relations.overlap(layer, optimizer) is True and not frozen(facts, layer)
                if held and _plain(facts, optimizer) and not may_clip(facts, update.run, optimizer):
                    yield _finding(facts, optimizer, layer, trainers[0].place)
                    return


def _watching(facts: TrainingFacts, callbacks: Value | None) -> bool:
    """Whether a Trainer's callbacks are Lightning's own, none of which clips."""
    items = callbacks.items if isinstance(callbacks, Collection) and not callbacks.open else [callbacks]
    makers = [getattr(item, "maker", "") for item in items if item is not None]
    imported = {found.bound: found.name for found in facts.imports}
    names = [imported.get(maker, maker) for maker in makers]
    return all("lightning" in name and ".callbacks." in name for name in names)


def _finding(facts: TrainingFacts, optimizer: Value, layer: Layer, place: Place) -> Finding:
    values: dict[str, str | int | float] = {
        "optimizer": facts.name_of(optimizer, getattr(optimizer, "name", "the script")),
        "module": facts.name_of(layer, layer.name),
        "kind": layer.name,
    }
    return Finding("rnn-without-clipping", place.path, Range(*place.at), values)


def _plain(facts: TrainingFacts, optimizer: Optimizer) -> bool:
    """An optimizer of torch whose step grows with the gradient and that no framework clips for by configuration."""
    if not optimizer.known or not optimizer.kind.startswith("torch.optim.") or optimizer.name in _BOUNDED:
        return False
    if optimizer.managed in ("deepspeed", "opacus"):
        return False
    managers = [call for call in facts.calls if call.name.endswith(".Accelerator")] if optimizer.managed else []
    return not any("plugin" in keyword or keyword == "**" for call in managers for keyword in call.keywords)


def _through(facts: TrainingFacts, run: Run, optimizer: Value, least: int) -> dict[int, Layer]:
    """For each Backward of a run, the recurrent layer of the optimizer that it goes through time in."""
    found: dict[int, Layer] = {}
    for event in run.events:
        if isinstance(event, Backward):
            for layer in recurrent(facts, event.loss, repeats_around(run.tree, event), least):
                if relations.overlap(layer, optimizer) is True and not frozen(facts, layer):
                    found.setdefault(id(event), layer)
    return found
