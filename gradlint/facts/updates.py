"""Which losses of a run are meant to train which optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradlint.facts import relations
from gradlint.facts.events import Backward, Event, OptimizerStep, Run
from gradlint.facts.holding import holds, related
from gradlint.facts.model import TrainingFacts
from gradlint.facts.roles import last_name
from gradlint.facts.values import Choice, Collection, Cut, Mapping, Place, Tensor, Unknown, Value, options


@dataclass(frozen=True)
class Update:
    """A loss and the optimizers that are stepped with its gradients; `place` is where its backward starts, `others` are
    stepped in the run too.
    """

    run: Run
    loss: Tensor
    place: Place
    optimizers: tuple[Value, ...]
    others: tuple[Value, ...] = ()

    def last_cuts(self) -> list[Cut]:
        """The cuts after which nothing was cut any more, in order."""
        passed = {cut for last in self.loss.cuts for cut in last.before if cut.place != last.place}
        return [cut for cut in self.loss.cuts if cut not in passed] or list(self.loss.cuts)

    def misses(self, cut: Cut) -> Value | None:
        """Something that a cut took from the loss and that one of the optimizers holds, or may hold."""
        lost = sorted(cut.lost, key=_place)
        return next((value for value in lost for o in self.optimizers if self._may_hold(o, value)), None)

    def _may_hold(self, optimizer: Value, value: Value) -> bool:
        """Whether an optimizer holds something; of unseen ones, those that bear its name do, if any does."""
        answer = relations.overlap(value, optimizer)
        if answer is None and isinstance(optimizer, Unknown):
            named = [other for other in (*self.optimizers, *self.others) if _named_after(other, value)]
            return not named or any(optimizer is other for other in named)
        return answer is not False

    def starves(self, cut: Cut) -> Value | None:
        """Something that gets no gradient because of a cut: nothing does, or the optimizer surely holds what is lost
        here alone.
        """
        if self.loss.surely_cut:
            return self.misses(cut)
        if self.loss.mystery or any(related(a, b) for a in cut.lost for b in self.loss.roots):
            return None
        held = (value for value in sorted(cut.lost, key=_place) if any(holds(o, value) for o in self.optimizers))
        return next(held, None)


def updates(facts: TrainingFacts) -> Iterator[Update]:
    """Every backward on a tensor in a run that steps an optimizer; a framework's training step counts as one."""
    for run in facts.runs:
        events = run.events
        stepped = tuple(dict.fromkeys(event.optimizer for event in events if isinstance(event, OptimizerStep)))
        backwards = [event for event in events if isinstance(event, Backward)]
        for event in backwards:
            if event.tensor is not None and stepped:
                own = _next_stepped(events, event) or stepped
                yield Update(run, event.tensor, event.place, own, stepped)
        if run.name.endswith(_RETURNED.get(run.managed, "()")) and not backwards:
            result = _loss(_default(run))
            if isinstance(result, Tensor) and result.place is not None:
                yield Update(run, result, result.place, tuple(_everything(result.cuts)))


_RETURNED = {"lightning": ".training_step", "trainer": ".compute_loss"}
"""Methods whose result a framework back-propagates."""


def _next_stepped(events: list[Event], backward: Backward) -> tuple[Value, ...]:
    """The optimizers that are stepped behind a backward and before the next one."""
    found: dict[Value, None] = {}
    for event in events[events.index(backward) + 1 :]:
        if isinstance(event, Backward):
            break
        if isinstance(event, OptimizerStep):
            found[event.optimizer] = None
    return tuple(found)


def _named_after(optimizer: Value, value: Value) -> bool:
    """`policy_optimizer`, where the module is `policy`."""
    if not isinstance(optimizer, Unknown) or not isinstance(value, Unknown):
        return False
    name = last_name(value.hint)
    return bool(name) and name in last_name(optimizer.hint).split("_")


def _default(run: Run) -> Value | None:
    """What a method gives back; a Trainer asks for the loss alone while it trains, not for the outputs beside it."""
    plain = [o for o in options(run.result) if isinstance(o, Tensor)] if run.managed == "trainer" else []
    return plain[0] if len(plain) == 1 else run.result


def _loss(result: Value | None) -> Value | None:
    if isinstance(result, Choice):
        return next((loss for loss in map(_loss, result.options) if isinstance(loss, Tensor)), None)
    if isinstance(result, Mapping):
        return result.items.get("loss")
    if isinstance(result, Collection):
        return result.items[0] if result.items else None
    return result


def _everything(cuts: Iterable[Cut]) -> Iterator[Value]:
    return (value for cut in cuts for value in cut.lost)


def _place(value: Value) -> tuple[str, tuple[int, ...]]:
    place = getattr(value, "place", None)
    return (place.path, tuple(place.at)) if place is not None else ("", ())
