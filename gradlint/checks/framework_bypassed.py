"""GL904: a Backward or a clip done by hand where a framework does it, with scaling, averaging and gathering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Branch,
    ClipGrad,
    Event,
    OptimizerStep,
    Run,
    Unscale,
    ZeroGrad,
    walk,
)  # fmt: skip
from gradlint.facts.interpret.tensors import parts
from gradlint.facts.lightning import automatic_steps
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State, nodes_around
from gradlint.facts.values import Manager, Optimizer, Place, Tensor, Unknown, Value
from gradlint.options import Options


@dataclass(frozen=True)
class _Framework:
    name: str
    backward: str
    clip: str


_FRAMEWORKS = {
    "accelerate": _Framework("Accelerate", "accelerator.backward(loss)", "accelerator.clip_grad_norm_"),
    "fabric": _Framework("Fabric", "fabric.backward(loss)", "fabric.clip_gradients"),
    "deepspeed": _Framework("DeepSpeed", "engine.backward(loss)", "gradient_clipping in its configuration"),
    "lightning": _Framework("Lightning's automatic optimisation", "return loss", "gradient_clip_val of the Trainer"),
    "trainer": _Framework("the Trainer", "return loss", "max_grad_norm in TrainingArguments"),
}


class _Plain(Machine):
    """The state is the Backwards by hand since the last clear; the step of a managed optimizer uses them."""

    start = frozenset[Event]()

    def __init__(self, optimizer: Value) -> None:
        super().__init__()
        self.optimizer = optimizer

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, frozenset)
        if isinstance(event, Backward) and event.via is None and relations.reaches(event, self.optimizer) is not False:
            return state | {event}
        if isinstance(event, OptimizerStep) and event.optimizer is self.optimizer:
            for backward in state:
                self.report(backward, "bad", event)
            return self.start
        if isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False:
            return self.start
        return state


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge what happens by hand to the gradients of managed optimizers, and in Lightning's training steps."""
    seen: set[Place] = set()
    for run in facts.runs:
        for event, framework in _bypasses(facts, run, options.strict):
            if event.place not in seen:
                seen.add(event.place)
                yield _finding(event, _FRAMEWORKS[framework])


def _bypasses(facts: TrainingFacts, run: Run, strict: bool) -> Iterator[tuple[Event, str]]:
    events = run.events
    for optimizer in dict.fromkeys(event.optimizer for event in events if isinstance(event, OptimizerStep)):
        framework = _manages(optimizer)
        if framework in _FRAMEWORKS:
            for judgement in _Plain(optimizer).run(run.tree):
                if (judgement.verdict == "sure" or strict) and not _alternative(run, judgement.origin):
                    yield judgement.origin, framework
            unscaled = any(isinstance(event, Unscale) for event in events)
            for event in events:
                if not isinstance(event, ClipGrad) or unscaled or not event.callee.startswith("clip_grad_"):
                    continue
                if relations.overlap(event.target, optimizer) and not _alternative(run, event):
                    yield event, framework
    if run.managed == "trainer" and run.name.endswith(".compute_loss"):
        given = {id(part) for part in parts([run.result])}
        yield from ((e, "trainer") for e in events if isinstance(e, Backward) and id(e.loss) in given)
    if any(step is run for step in automatic_steps(facts)):
        yield from ((event, "lightning") for event in events if isinstance(event, Backward) and event.via is None)


def _manages(optimizer: Value) -> str:
    if isinstance(optimizer, Manager):
        return optimizer.kind
    return optimizer.managed if isinstance(optimizer, Optimizer) else ""


def _alternative(run: Run, event: Event) -> bool:
    """Whether the other arm of a branch around `event` does it through the framework."""
    for node in nodes_around(run.tree, event):
        others = [other for arm in node.arms for other in walk(arm)] if isinstance(node, Branch) else []
        if any(isinstance(other, Backward) and isinstance(other.via, (Manager, Unknown)) for other in others):
            return True
        if isinstance(event, ClipGrad) and any(isinstance(o, ClipGrad) and o.callee != event.callee for o in others):
            return True
    return False


def _finding(event: Event, framework: _Framework) -> Finding:
    if isinstance(event, ClipGrad):
        call, instead = event.callee, framework.clip
    else:
        loss = event.loss if isinstance(event, Backward) else None
        hint = loss.hint if isinstance(loss, (Tensor, Unknown)) else ""
        call, instead = f"{hint or 'loss'}.backward()", framework.backward
    values: dict[str, str | int | float] = {"call": call, "framework": framework.name, "instead": instead}
    return Finding("framework-bypassed", event.place.path, Range(*event.place.at), values)
