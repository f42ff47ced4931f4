"""Which parameters are kept from training."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Value, constant


def frozen(facts: TrainingFacts, module: Value) -> bool:
    """Whether the code sets `requires_grad` to False on a module, or on something it is a part of, anywhere."""
    for call in facts.calls:
        if call.name == "Module.requires_grad_" and call.receiver is not None:
            wanted = call.argument(0, "requires_grad")
            if wanted is not None and constant(wanted) is False and relations.overlap(call.receiver, module):
                return True
    for write in facts.writes:
        if write.name == "requires_grad" and constant(write.value) is False and relations.overlap(write.owner, module):
            return True
    return False
