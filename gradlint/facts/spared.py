"""Modules that are left out of an optimizer on purpose."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.events import (
    Escape,
    Event,
    Freeze,
    GradEdit,
    LoadSnapshot,
    ManualUpdate,
    ModeSwitch,
    Rebind,
)
from gradlint.facts.values import Unknown, Value


def spared(event: Event, module: Value, events: list[Event]) -> bool:
    """Whether it is frozen, kept in eval mode, updated by hand, loaded, put in for another, or given to unseen code."""
    if isinstance(event, Freeze):
        if event.trainable is True or relations.overlap(event.target, module) is False:
            return False
        if isinstance(event.target, Unknown) and _seen_elsewhere(event, events):
            return False
        # Frozen while another network learns, and released again.
        return not any(isinstance(e, Freeze) and e.trainable is True and e.target is event.target for e in events)
    if isinstance(event, ModeSwitch):
        return event.training is False and relations.within(module, event.module) and not _trained(event, events)
    if isinstance(event, (ManualUpdate, GradEdit)):
        return relations.overlap(event.target, module) is not False
    if isinstance(event, LoadSnapshot):
        return relations.within(module, event.module)
    if isinstance(event, Rebind):
        return event.new is module or event.owner is module
    return isinstance(event, Escape) and any(
        relations.holds(value, module) or relations.within(module, value) for value in event.values
    )


def _seen_elsewhere(event: Freeze, events: list[Event]) -> bool:
    """Whether the file calls the function that freezes its argument, with a module that can be seen."""
    same = (e.target for e in events if isinstance(e, Freeze) and e.place == event.place)
    return any(not isinstance(target, Unknown) for target in same)


def _trained(evaluated: ModeSwitch, events: list[Event]) -> bool:
    """Whether what is put into evaluation mode is put back into train mode by the same name or a part of it."""
    return any(
        isinstance(e, ModeSwitch) and e.training is True and relations.within(e.module, evaluated.module)
        for e in events
    )
