"""GL801: `eval()` inside the epoch loop that no `train()` undoes before the next training batch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.evaluation import covers, mode_layers
from gradlint.facts.events import (
    Backward,
    Branch,
    Escape,
    Event,
    Forward,
    GradEdit,
    ManualUpdate,
    ModeSwitch,
    Node,
    OptimizerStep,
    Run,
    ZeroGrad,
    walk,
)
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State, nodes_around, repeats_around
from gradlint.facts.values import Layer, Value
from gradlint.options import Options

_UPDATES = (OptimizerStep, ManualUpdate, GradEdit, Escape)


class _Mode(Machine):
    """train -> eval() -> eval -> Backward of the same module: it trains in eval mode."""

    watches = (ModeSwitch, Backward, Escape)

    def __init__(self, module: Value) -> None:
        super().__init__()
        self.module = module

    def _is_part(self, root: Value) -> bool:
        """Whether something trained is the module, or one of those that a container only keeps."""
        keeps = isinstance(self.module, Layer) and self.module.name in ("ModuleDict", "ModuleList")
        return root is self.module or (keeps and relations.lies_in(root, self.module))

    def on(self, state: State, event: Event) -> State:
        pending = state if isinstance(state, ModeSwitch) else None
        if isinstance(event, ModeSwitch) and covers(event.module, self.module):
            if event.training is False:
                return event if event.module is self.module else "part"
            if pending is not None:
                self.report(pending, "ok", event)
            return "train"
        if isinstance(event, ModeSwitch) and pending is not None and event.training is not False:
            if relations.lies_in(event.module, self.module):
                # What is restored may be all of it that trains.
                self.report(pending, "unsure", event)
                return "unknown"
        elif isinstance(event, Backward) and pending is not None:
            if event.tensor is not None and any(self._is_part(root) for root in event.tensor.roots):
                self.report(pending, "bad", event)
        elif isinstance(event, Escape) and pending is not None and relations.takes(event, self.module):
            self.report(pending, "unsure", event)
            return "unknown"
        return state


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every module that a run switches to eval mode."""
    for run in facts.runs:
        switched = dict.fromkeys(e.module for e in run.events if isinstance(e, ModeSwitch) and e.training is False)
        for module in switched:
            layers = mode_layers(module)
            if layers is None:
                continue
            for judgement in _Mode(module).run(run.tree):
                wanted = judgement.verdict == "sure" or (judgement.verdict == "maybe" and options.strict)
                if not wanted or not _share_loop(run.tree, judgement.origin, judgement.bad[0]):
                    continue
                if _chosen(run.tree, judgement.origin, module) or _frozen_from_start(run, judgement.bad[0], module):
                    continue
                if not _called(run, judgement.bad[0], module) or not any(_used(run, e, module) for e in judgement.bad):
                    continue
                place = judgement.origin.place
                values = {"module": facts.name_of(module, "model"), "layers": layers}
                yield Finding("train-mode-not-restored", place.path, Range(*place.at), values)


def _chosen(tree: list[Node], switch: Event, module: Value) -> bool:
    """Whether a branch chooses between this `eval()` and a `train()`: it sets the mode that some value asks for."""
    for node in nodes_around(tree, switch):
        if isinstance(node, Branch):
            events = [event for arm in node.arms for event in walk(arm)]
            switches = [e for e in events if isinstance(e, ModeSwitch) and covers(e.module, module)]
            if len(switches) == len(events) and any(e.training is not False for e in switches):
                return True
    return False


def _frozen_from_start(run: Run, backward: Event, module: Value) -> bool:
    """Whether the loop begins in eval mode and no step in it surely trains the module: an attack on its inputs."""
    loop = repeats_around(run.tree, backward)[0]
    inside = {id(event) for event in walk(loop.body)}
    if any(isinstance(e, OptimizerStep) and relations.overlap(module, e.optimizer) for e in walk(loop.body)):
        return False
    switches = [e for e in run.events if isinstance(e, ModeSwitch) and covers(e.module, module)]
    before = list(takewhile(lambda event: id(event) not in inside, switches))
    return bool(before) and before[-1].training is False


def _called(run: Run, backward: Event, module: Value) -> bool:
    """Whether the loop calls the module at all: a copy may only lend its weights to a penalty."""
    loops = repeats_around(run.tree, backward)
    events = walk(loops[0].body) if loops else run.events
    if not any(isinstance(event, _UPDATES) for event in run.events) and not run.managed:
        # What is only asked for gradients of its inputs trains nowhere.
        return False
    called = [event.module for event in events if isinstance(event, Forward)]
    return not called or any(relations.lies_in(module, m) or relations.lies_in(m, module) for m in called)


def _used(run: Run, backward: Event, module: Value) -> bool:
    """Whether a step may take the gradients before they are cleared: not where they are only read, as for a Fisher
    information.
    """
    events = run.events
    for event in events[events.index(backward) + 1 :]:
        if isinstance(event, _UPDATES):
            return True
        if isinstance(event, ZeroGrad) and relations.overlap(event.target, module):
            return False
    return True


def _share_loop(tree: list[Node], switch: Event, backward: Event) -> bool:
    around = repeats_around(tree, switch)
    return any(loop in around for loop in repeats_around(tree, backward))
