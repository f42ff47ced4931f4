"""Lightning's training steps: methods that run for every batch and whose result the framework back-propagates."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.events import Run
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Instance, constant


def automatic_steps(facts: TrainingFacts) -> Iterator[Run]:
    """Training steps of classes that surely leave automatic optimisation on."""
    if any(write.name == "automatic_optimization" for write in facts.writes):
        return
    for run in facts.runs:
        owner, _, method = run.name.partition(".")
        if run.managed != "lightning" or method != "training_step":
            continue
        module = next((module for module in facts.modules if module.cls.name == owner), None)
        if module is not None and not module.cls.opaque and module.cls.find("automatic_optimization") is None:
            yield run


def manual(facts: TrainingFacts, run: Run) -> bool:
    """Whether a run is a method of a Lightning class that switches automatic optimisation off."""
    return run.managed == "lightning" and any(
        write.name == "automatic_optimization"
        and constant(write.value) is False
        and isinstance(write.owner, Instance)
        and write.owner.name == run.name.partition(".")[0]
        for write in facts.writes
    )
