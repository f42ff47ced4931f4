"""GL115: a backward into the trained parameters inside an evaluation loop."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Backward, Event, Freeze, ModeSwitch, OptimizerStep, Repeat, Run, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State, repeats_around
from gradlint.facts.values import Tensor, is_module
from gradlint.options import Options

_EVALUATION = frozenset(
    {"val", "valid", "validate", "validation", "test", "testing", "eval", "evaluate", "evaluation", "dev"}
)


class _Mode(Machine):
    """Which modules are in evaluation mode; a backward into one of them is bad."""

    start: State = frozenset()
    watches = (ModeSwitch, Backward)

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, frozenset)
        if isinstance(event, ModeSwitch):
            return state | {event.module} if event.training is False else state - {event.module}
        if isinstance(event, Backward) and event.tensor is not None:
            held = any(relations.within(root, module) for root in event.tensor.roots for module in state)
            self.report(event, "bad" if held else "ok", event)
        return state


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the backwards in loops over validation or test data with the module in evaluation mode."""
    trained = {e.optimizer for run in facts.runs for e in run.events if isinstance(e, OptimizerStep)}
    seen: set[object] = set()
    for run in facts.runs:
        for judgement in _Mode().run(run.tree):
            backward = judgement.origin
            loop = _evaluation_loop(run, backward)
            if (
                judgement.verdict != "sure"
                or not isinstance(backward, Backward)
                or loop is None
                or backward.place in seen
            ):
                continue
            if not any(relations.reaches(backward, optimizer) for optimizer in trained) or _of_inputs(loop, backward):
                continue
            seen.add(backward.place)
            steps = any(isinstance(e, OptimizerStep) for e in walk(loop.body))
            values = {
                "loop": loop.hint,
                "consequence": " and the step trains on its data"
                if steps
                else ": its gradients are left for the next training step",
            }
            yield Finding("backward-in-validation", backward.place.path, Range(*backward.place.at), values)


def _evaluation_loop(run: Run, backward: Event) -> Repeat | None:
    around = repeats_around(run.tree, backward)
    if not around:
        return None
    words = re.split(r"[^a-z]+", f"{around[-1].hint} {around[-1].function}".lower())
    return around[-1] if _EVALUATION & set(words) and "train" not in words else None


def _of_inputs(loop: Repeat, backward: Backward) -> bool:
    """Whether the loop asks for gradients of something that is no module: an input, a latent, a perturbation."""
    switched = any(
        isinstance(e, Freeze) and e.trainable is not False and not is_module(e.target) for e in walk(loop.body)
    )
    leaves = backward.tensor is not None and any(
        isinstance(root, Tensor) and root.owner in (None, root) for root in backward.tensor.roots
    )
    return switched or leaves
