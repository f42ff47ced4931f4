"""Networks that an optimizer holds beside others and that are only ever called without recording."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts import relations
from gradlint.facts.events import Backward, Forward, repeats, walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.spared import spared
from gradlint.facts.updates import Update
from gradlint.facts.values import Optimizer, Value, is_module


def unrecorded(facts: TrainingFacts, updates: list[Update]) -> Iterator[tuple[Update, Forward]]:
    """Each with the loss of the loop that calls it, which trains another network of the same optimizer."""
    events = [event for run in facts.runs for event in run.events]
    seen: set[Value] = set()
    for update in updates:
        held = [part for o in update.optimizers if isinstance(o, Optimizer) for part in _trained_together(o, update)]
        for module in held:
            calls = [e for e in events if isinstance(e, Forward) and relations.overlap(e.module, module)]
            if module in seen or not calls or not all(e.recording is False and e.module is module for e in calls):
                continue
            backwards = [e.tensor for e in events if isinstance(e, Backward) and e.tensor is not None]
            if any(relations.overlap(root, module) is not False for loss in backwards for root in loss.roots):
                continue
            here = [
                loop
                for loop in repeats(update.run.tree)
                if any(e in calls for e in walk(loop.body))
                and any(isinstance(e, Backward) and e.place == update.place for e in walk(loop.body))
            ]
            if here and not any(spared(event, module, events) for event in events):
                seen.add(module)
                yield update, calls[0]


def _trained_together(optimizer: Optimizer, update: Update) -> list[Value]:
    """The modules of an optimizer, if the loss reaches one of several."""
    sources = relations.sources(optimizer) or []
    if len(sources) < 2 or not any(relations.overlap(root, part) for root in update.loss.roots for part in sources):
        return []
    return [part for part in sources if is_module(part) and relations.has_parameters(part)]
