"""Whether something was given to code that cannot be seen, which may then step, clear or replace it."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.events import Escape, Run
from gradlint.facts.interpret.writing import attribute_names
from gradlint.facts.lightning import manual
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import ClassValue, FunctionValue, Instance, Optimizer, Scheduler, Value, options


def handed(facts: TrainingFacts, value: Value) -> bool:
    """Whether any way into the file gives `value` away: to an unseen callee, a framework or an unseen caller."""
    for run in facts.runs:
        if any(isinstance(e, Escape) and relations.takes(e, value) for e in run.events):
            return True
        if run.result is not None and relations.holds(run.result, value) and not _configured_by_hand(facts, run):
            return True
    for call in facts.calls:
        if call.name.startswith(("torch.", "apex.amp.")) or isinstance(call.result, Scheduler):
            continue
        if any(relations.holds(given, value) for given in (*call.arguments, *call.keywords.values())):
            return True
    return False


def _configured_by_hand(facts: TrainingFacts, run: Run) -> bool:
    """Whether Lightning only keeps what the run returns, and the class steps it itself."""
    return run.name.endswith(".configure_optimizers") and manual(facts, run)


def steps_itself(facts: TrainingFacts, stepped: Optimizer | Scheduler) -> bool:
    """Whether a class of another file keeps it and has a method that steps it, for whoever calls that."""
    for write in facts.writes:
        if stepped not in options(write.value) or not isinstance(write.owner, Instance):
            continue
        for base in write.owner.cls.lineage():
            if isinstance(base, ClassValue) and base.scope.path != facts.path:
                methods = (value for value in base.attributes.values() if isinstance(value, FunctionValue))
                if any({write.name, "step"} <= attribute_names(method.node.body) for method in methods):
                    return True
    return False
