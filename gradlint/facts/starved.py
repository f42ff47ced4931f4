"""Parts of a network that a loss is computed with and that nothing trains, because a cut stands behind each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradlint.facts import relations
from gradlint.facts.events import Backward, Event
from gradlint.facts.frozen import frozen
from gradlint.facts.holding import contains, holds, related
from gradlint.facts.interpret import modules, tensors
from gradlint.facts.model import TrainingFacts
from gradlint.facts.spared import spared
from gradlint.facts.updates import Update
from gradlint.facts.values import Cut, Instance, Layer, Optimizer, Tensor, Value


def starved(facts: TrainingFacts, updates: list[Update]) -> Iterator[tuple[Update, Cut, Value]]:
    """Each with the cut that it stands behind and the loss it is missed in.

    A part counts if it was built here at random, the optimizer holds it beside what the loss reaches, nothing freezes,
    loads or updates it, and no output and no loss in sight hangs on it. Of a file with a loss that cannot be seen
    whole, nothing is known.
    """
    events = [event for run in facts.runs for event in run.events]
    losses = [*(e.tensor for e in events if isinstance(e, Backward)), *(update.loss for update in updates)]
    if not all(loss is not None and not loss.mystery for loss in losses):
        return
    if any(call.name.startswith(("torch.autograd.", "torch.func.")) for call in facts.calls):
        return
    roots = list({id(root): root for loss in losses if loss is not None for root in loss.roots}.values())
    alive = _alive(facts, [loss for loss in losses if loss is not None])
    for update in updates:
        fed = [
            o for o in update.optimizers if not isinstance(o, Optimizer) or any(holds(o, r) for r in update.loss.roots)
        ]
        for cut in () if update.loss.surely_cut else update.loss.cuts:
            for part in _trained(cut.lost):
                if any(holds(o, part) for o in fed) and _misses(facts, events, part, roots, alive):
                    yield update, cut, part
                    break


def _alive(facts: TrainingFacts, losses: list[Tensor]) -> set[Value]:
    """The layers and parameters that a loss hangs on, or any output where the way to one of them cannot be followed."""
    found: set[Value] = set()
    for loss in losses:
        above = tensors.ancestry(loss)
        for key, part in above.items():
            given = part.roots if isinstance(part, Tensor) else frozenset()
            unfollowed = any(isinstance(root, Instance) or getattr(root, "children", ()) for root in given)
            if key not in facts.inner and unfollowed and isinstance(part, Tensor) and not part.sources:
                return {part for inner in facts.inner.values() for part in inner}
            if not unfollowed:
                found |= given
            found |= facts.inner.get(key, frozenset())
        if len(above) >= tensors.ANCESTORS:
            return {part for inner in facts.inner.values() for part in inner}
    return found


def _trained(lost: Iterable[Value]) -> list[Value]:
    """What has parameters that were drawn at random here."""
    found = [part for part in lost if isinstance(part, Tensor) or relations.has_parameters(part)]
    return sorted((part for part in found if _built_here(part)), key=lambda part: part.place.at)  # type: ignore[attr-defined]


def _built_here(part: Value) -> bool:
    if isinstance(part, Tensor):
        return part.parameter and part.attribute != "leaf" and part.place is not None
    if not isinstance(part, (Instance, Layer)) or part.place is None or not modules.complete(part):
        return False
    return all(
        isinstance(p, Instance) or (isinstance(p, Layer) and p.kind.startswith("torch.nn.")) for p in modules.walk(part)
    )


def _misses(facts: TrainingFacts, events: list[Event], part: Value, roots: list[Value], alive: set[Value]) -> bool:
    near = [root for root in roots if related(root, part)]
    if any(not contains(root, part) or root is part for root in near):
        return False
    if near and any(related(other, part) for other in alive):
        return False
    return not frozen(facts, part) and not any(spared(event, part, events) for event in events)
