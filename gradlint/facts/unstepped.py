"""Optimizers that get gradients in a loop and that nothing ever steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gradlint.facts import relations
from gradlint.facts.events import (
    Backward,
    Construct,
    Escape,
    Event,
    GradEdit,
    ManualUpdate,
    OptimizerStep,
    Run,
    SchedulerStep,
    ZeroGrad,
    repeats,
    walk,
)  # fmt: skip
from gradlint.facts.frozen import frozen
from gradlint.facts.handed import handed, steps_itself
from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.roles import role
from gradlint.facts.training_step import repeated
from gradlint.facts.uncalled import uncalled
from gradlint.facts.values import (
    Gradient,
    Instance,
    Layer,
    Manager,
    Optimizer,
    Place,
    Scheduler,
    Tensor,
    Unknown,
    Value,
    options,
)


@dataclass(slots=True, frozen=True)
class Unstepped:
    """`backward` fills the gradients of `optimizer` in vain; `place` is where it is built, or first named where that
    cannot be seen, `scheduler` the step of its scheduler, if any.
    """

    optimizer: Value
    place: Place
    backward: Backward
    scheduler: SchedulerStep | None


@lru_cache(maxsize=1)
def unstepped(facts: TrainingFacts) -> tuple[Unstepped, ...]:
    """Every known optimizer of the file that gets gradients in a loop, is stepped nowhere and is in nobody else's
    hands.
    """
    return tuple(_unstepped(facts))


def _unstepped(facts: TrainingFacts) -> Iterator[Unstepped]:
    events = [event for run in facts.runs for event in run.events]
    stepped = [e.optimizer for e in events if isinstance(e, OptimizerStep)]
    strangers = [
        run
        for run in facts.runs
        if any(isinstance(e, OptimizerStep) and not isinstance(e.optimizer, Optimizer) for e in run.events)
    ]
    if not all(uncalled(facts, run) for run in strangers):
        return
    edited = [
        e.target
        for e in events
        if (isinstance(e, ManualUpdate) and not e.bounds and not _of_frozen(facts, e))
        or (isinstance(e, GradEdit) and e.fresh)
    ]
    if any(call.name.startswith("Gradient.") and not _of_input(facts, call.receiver) for call in facts.calls):
        return
    yield from _engines(facts, events)
    yield from _parameters(facts, events)
    built = dict.fromkeys(e.value for e in events if isinstance(e, Construct) and isinstance(e.value, Optimizer))
    places = {o.place for step in stepped for o in options(step) if isinstance(o, Optimizer)}
    places |= {inner.place for o in built if isinstance(o, Optimizer) for inner in o.inner}
    idle = [
        optimizer
        for optimizer in built
        if isinstance(optimizer, Optimizer)
        and optimizer.place not in places
        and optimizer.protocol
        and optimizer.managed != "deepspeed"
        and not _by_hand(optimizer, edited)
        and not (strangers and _kept_by_example(facts, optimizer))
        and not any(_may_wrap(o, optimizer) for o in stepped)
        and not steps_itself(facts, optimizer)
        and not handed(facts, optimizer)
    ]
    for run in facts.runs if idle else ():
        inside = [e for loop in repeats(repeated(facts, run)) for e in walk(loop.body) if isinstance(e, Backward)]
        for optimizer in idle:
            reached = [e for e in inside if relations.reaches(e, optimizer)]
            if reached and optimizer.place not in places:
                own = [e for e in reached if not any(relations.reaches(e, o) for o in stepped)]
                if not own and any(_takes_over(o, optimizer) for o in stepped):
                    continue
                places.add(optimizer.place)
                yield Unstepped(optimizer, optimizer.place, (own or reached)[0], _scheduler(run, optimizer))


def _engines(facts: TrainingFacts, events: list[Event]) -> Iterator[Unstepped]:
    """DeepSpeed engines that back-propagate in a loop and that nothing steps."""
    if any(isinstance(event, OptimizerStep) for event in events):
        return
    for run in facts.runs:
        for loop in repeats(repeated(facts, run)):
            for event in walk(loop.body):
                engine = event.via if isinstance(event, Backward) else None
                if isinstance(engine, Manager) and engine.kind == "deepspeed" and isinstance(event, Backward):
                    if not any(isinstance(e, Escape) and engine in e.values for e in events):
                        yield Unstepped(engine, engine.place, event, None)
                    return


def _parameters(facts: TrainingFacts, events: list[Event]) -> Iterator[Unstepped]:
    """Optimizers that somebody passes: a loop clears and fills their gradients, and nothing in the file steps any."""
    if any(isinstance(e, (OptimizerStep, ManualUpdate, GradEdit)) for e in events):
        return
    for run in facts.runs:
        if run.managed or any(isinstance(e, Escape) for e in run.events):
            continue
        for loop in repeats(repeated(facts, run)):
            inside = walk(loop.body)
            clear = next((e for e in inside if isinstance(e, ZeroGrad) and _passed(e.target)), None)
            filled = next((e for e in inside if isinstance(e, Backward) and e.tensor is not None), None)
            if clear is not None and filled is not None and not handed(facts, clear.target):
                if isinstance(filled.via, Manager) or relations.reaches(filled, clear.target) is False:
                    continue
                yield Unstepped(clear.target, clear.place, filled, _scheduler(run, None))
                return


def _passed(target: Value) -> bool:
    return isinstance(target, Unknown) and target.origin == "parameter" and role(target) == "optimizer"


def _of_input(facts: TrainingFacts, receiver: Value | None) -> bool:
    """Whether a gradient is that of a tensor that a network is given, as in an attack, and no optimizer trains."""
    owner = receiver.owner if isinstance(receiver, Gradient) else None
    if not isinstance(owner, Tensor) or owner.attribute != "leaf":
        return False
    return not any(owner is part for optimizer in facts.optimizers for part in relations.owners(optimizer) or ())


def _by_hand(optimizer: Optimizer, edited: list[Value]) -> bool:
    """Whether the script may update what an optimizer holds itself; one parameter of several may only be bounded."""
    touched = [target for target in edited if relations.overlap(target, optimizer) is not False]
    singles = all(isinstance(t, Tensor) and t.parameter and t.attribute != "*" for t in touched)
    return bool(touched) and not (singles and len(optimizer.parameters) > len(touched))


def _may_wrap(stepped: Value, optimizer: Optimizer) -> bool:
    """Whether an optimizer of the project that is stepped, over nothing in sight, may hold this one."""
    own = isinstance(stepped, Optimizer) and not stepped.known and stepped is not optimizer
    return own and not relations.owners(stepped)


def _takes_over(stepped: Value, optimizer: Optimizer) -> bool:
    """Whether an optimizer that is stepped was built over the very same modules: the other one is out of use."""
    if not isinstance(stepped, Optimizer):
        return False
    mine, theirs = relations.sources(optimizer), relations.sources(stepped)
    return bool(mine) and theirs is not None and {id(value) for value in mine or ()} == {id(value) for value in theirs}


def _of_frozen(facts: TrainingFacts, event: ManualUpdate) -> bool:
    """Whether an update by hand is of parameters that no optimizer trains: a moving average."""
    target = event.target
    owner = target.owner if isinstance(target, Tensor) else None
    layers = [part for part in modules.walk(owner) if isinstance(part, Layer) and not part.children] if owner else []
    return not event.gradient and bool(layers) and all(frozen(facts, layer) for layer in layers)


def _kept_by_example(facts: TrainingFacts, optimizer: Optimizer) -> bool:
    """Whether an object that stands for all of its class keeps the optimizer, so that other methods may step it."""
    return any(
        relations.holds(write.value, optimizer) and not (isinstance(write.owner, Instance) and not write.owner.assumed)
        for write in facts.writes
    )


def _scheduler(run: Run, optimizer: Optimizer | None) -> SchedulerStep | None:
    """The step of a schedule of an optimizer, or of any schedule where that cannot be seen."""
    for event in run.events:
        if isinstance(event, SchedulerStep):
            held = [s.optimizer for s in options(event.scheduler) if isinstance(s, Scheduler)]
            if optimizer is None or any(optimizer in options(value) for value in held):
                return event
    return None
