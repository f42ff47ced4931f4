"""In which mode a module is when it is called."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.evaluation import covers
from gradlint.facts.events import Escape, Event, Forward, ModeSwitch
from gradlint.facts.protocol import Machine, State
from gradlint.facts.values import Value


class TrainMode(Machine):
    """Judges one call of a module: bad in train mode, in which it is built; eval() or unseen code may change that."""

    start = "train"
    watches = (ModeSwitch, Escape, Forward)

    def __init__(self, module: Value, forward: Forward) -> None:
        super().__init__()
        self.module, self.forward = module, forward

    def on(self, state: State, event: Event) -> State:
        if isinstance(event, ModeSwitch) and (covers(event.module, self.module) or covers(self.module, event.module)):
            return {True: "train", False: "eval", None: "unknown"}[event.training]
        if isinstance(event, Escape) and relations.takes(event, self.module):
            return "unknown"
        if event is self.forward:
            self.report(event, "bad" if state == "train" else "ok", event)
        return state
