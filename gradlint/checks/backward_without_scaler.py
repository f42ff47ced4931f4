"""GL901: gradients that a GradScaler steps with but did not scale, or scaled ones that are stepped with directly."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations, scaling
from gradlint.facts.clipping import stepped
from gradlint.facts.events import Backward, Escape, Event, OptimizerStep, Run, ZeroGrad
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State
from gradlint.facts.values import Place, Scaler, Tensor, Unknown, Value
from gradlint.options import Options


class _Scaling(Machine):
    """The state is the Backwards since the last clear or step; each is scaled by a scaler or plain."""

    start = frozenset[Event]()
    watches = (Backward, OptimizerStep, ZeroGrad, Escape)

    def __init__(self, optimizer: Value) -> None:
        super().__init__()
        self.optimizer = optimizer

    def on(self, state: State, event: Event) -> State:
        assert isinstance(state, frozenset)
        if isinstance(event, Backward):
            return state if relations.reaches(event, self.optimizer) is False else state | {event}
        if isinstance(event, OptimizerStep) and event.optimizer is self.optimizer:
            self._stepped(state, event)
            return self.start
        if isinstance(event, ZeroGrad) and relations.clears(event.target, self.optimizer) is not False:
            return self.start
        if isinstance(event, Escape) and relations.may_fill(event, self.optimizer):
            return state | {event}
        return state

    def _stepped(self, state: frozenset[Event], step: OptimizerStep) -> None:
        unsure = any(isinstance(event, Escape) for event in state)
        by_scaler = scaling.scales(step.via)
        for backward in state:
            if not isinstance(backward, Backward):
                continue
            if by_scaler:
                self.report(backward, "unsure" if unsure else "ok" if _maybe_scaled(backward) else "bad", step)
            else:
                scaled = backward.scaled and isinstance(backward.via, Scaler) and scaling.scales(backward.via)
                self.report(step, "unsure" if unsure else "bad" if scaled and step.via is None else "ok", backward)
                self.report(backward, "ok", step)


def _maybe_scaled(backward: Backward) -> bool:
    """Scaled, or a loss that was made where nobody can see."""
    loss = backward.loss
    unseen = not isinstance(loss, Tensor) or (loss.mystery and not loss.roots and loss.loss is None)
    return backward.scaled or unseen


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every optimizer that a run steps."""
    seen: set[Place] = set()
    for run in facts.runs:
        for optimizer in stepped(run) if _scaled(run) else ():
            for judgement in _Scaling(optimizer).run(run.tree):
                event = judgement.origin
                if judgement.verdict != "sure" and not (options.strict and judgement.verdict == "maybe"):
                    continue
                if event.place in seen:
                    continue
                seen.add(event.place)
                yield _finding(facts, event, judgement.bad[0])


def _scaled(run: Run) -> bool:
    """Whether a scaler takes part in a run at all."""
    return any(isinstance(event, (Backward, OptimizerStep)) and scaling.scales(event.via) for event in run.events)


def _finding(facts: TrainingFacts, event: Event, other: Event) -> Finding:
    if isinstance(event, Backward):
        scaler = other.via if isinstance(other, OptimizerStep) else None
        hint = event.loss.hint if isinstance(event.loss, (Tensor, Unknown)) else ""
        call, reason = f"{hint or 'loss'}.backward()", "the loss is not scaled"
    else:
        scaler = other.via if isinstance(other, Backward) else None
        optimizer = event.optimizer if isinstance(event, OptimizerStep) else None
        call, reason = f"{facts.name_of(optimizer, 'optimizer')}.step()", "the gradients come from a scaled loss"
    values: dict[str, str | int | float] = {"call": call, "scaler": facts.name_of(scaler, "scaler"), "reason": reason}
    return Finding("backward-without-scaler", event.place.path, Range(*event.place.at), values)
