"""GL107: a module or parameter replaced after an optimizer took it, which then goes on stepping the old one."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Backward, Construct, Event, OptimizerStep, Rebind, Run
from gradlint.facts.interpret.modules import walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State
from gradlint.facts.registration import learns
from gradlint.facts.values import Choice, Optimizer, Parameters, Tensor, Unknown, Value, is_module
from gradlint.options import Options


class _Held(Machine):
    """built -> Rebind of something it holds -> replaced -> Backward -> OptimizerStep: the new one is never stepped."""

    watches = (Construct, Rebind, Backward, OptimizerStep)

    def __init__(self, optimizer: Optimizer, built: bool) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.start = "start" if built else "built"

    def on(self, state: State, event: Event) -> State:
        if isinstance(event, Construct) and isinstance(event.value, Optimizer):
            if event.value is self.optimizer:
                return "built"
            return (
                "built"
                if isinstance(state, Rebind) and relations.overlap(state.new, event.value) is not False
                else state
            )
        if isinstance(event, Rebind) and state == "built" and self._holds(event):
            return event
        if isinstance(event, Backward) and isinstance(state, Rebind):
            return self._trained(state, event)
        if isinstance(event, OptimizerStep) and self.optimizer in _each(event.optimizer) and isinstance(state, tuple):
            self.report(state[0], "bad", event)
        return state

    def _holds(self, event: Rebind) -> bool:
        """Whether what is replaced belongs to the optimizer and what comes does not; a forward that builds is another
        matter.
        """
        if event.function.rpartition(".")[2] == "forward":
            return False
        if any(isinstance(part, Parameters) and not part.whole for part in self.optimizer.parameters):
            return False
        old = any(event.old is source for source in relations.sources(self.optimizer) or [])
        inside = event.owner is not None and relations.keeps(self.optimizer, event.owner)
        return (old or inside) and not self._has(event.new)

    def _trained(self, rebind: Rebind, event: Backward) -> State:
        roots = event.tensor.roots if event.tensor is not None else frozenset()
        if rebind.old in roots:
            # The old one is still in use under another name.
            self.report(rebind, "ok", event)
            return "built"
        if not roots and isinstance(rebind.new, Unknown):
            return (rebind, "backward")
        new = rebind.owner if rebind.owner is not None and is_module(rebind.owner) else rebind.new
        return (rebind, "backward") if any(relations.within(new, root) for root in roots) else rebind

    def _has(self, new: Value) -> bool:
        """Whether the optimizer knows the new one: it was added as a group, or is tied to something it holds."""
        tied = new.owner if isinstance(new, Tensor) and new.owner is not None else None
        given = relations.sources(self.optimizer) or []
        if any(new is source for source in given) or (tied is not None and relations.keeps(self.optimizer, tied)):
            return True
        # `model = Wrapper(model)`: the old one learns on inside of the new one, which adds nothing to learn.
        inside = [source for source in given if relations.within(source, new)]
        learning = [part for part in walk(new) if learns(part)]
        return bool(inside) and all(any(relations.within(part, source) for source in inside) for part in learning)


def _each(optimizer: Value) -> tuple[Value, ...]:
    return optimizer.options if isinstance(optimizer, Choice) else (optimizer,)


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge each optimizer that a run steps."""
    seen: set[object] = set()
    for run in facts.runs:
        events = run.events
        stepped = (option for e in events if isinstance(e, OptimizerStep) for option in _each(e.optimizer))
        for optimizer in dict.fromkeys(stepped):
            if isinstance(optimizer, Optimizer) and optimizer.managed != "deepspeed":
                yield from _judge(facts, run, optimizer, seen)


def _before(facts: TrainingFacts, run: Run, optimizer: Optimizer) -> Run | None:
    """The run that builds the optimizer, where it is over before any other begins: the script itself, a constructor."""
    for other in (run, *facts.runs):
        if any(isinstance(event, Construct) and event.value is optimizer for event in other.events):
            first = other is run or other.name == "<module>" or other.name.endswith(".__init__")
            return other if first else None
    return None


def _judge(facts: TrainingFacts, run: Run, optimizer: Optimizer, seen: set[object]) -> Iterator[Finding]:
    first = _before(facts, run, optimizer)
    tree = run.tree if first is None or first is run else [*first.tree, *run.tree]
    for judgement in _Held(optimizer, first is not None).run(tree):
        place = judgement.origin.place
        if judgement.verdict == "sure" and place not in seen and isinstance(judgement.origin, Rebind):
            seen.add(place)
            values: dict[str, str | int | float] = {
                "target": judgement.origin.attribute,
                "optimizer": facts.name_of(optimizer, "optimizer"),
                "optimizer_line": optimizer.place.line_from(place.path),
            }
            yield Finding("parameter-replaced-after-optimizer", place.path, Range(*place.at), values)
