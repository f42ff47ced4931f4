"""Evaluations that need the graphs they record: attacks, saliency, Fisher information, adaptation at test time."""

from __future__ import annotations

from gradlint.facts import relations
from gradlint.facts.evaluation import Evaluation
from gradlint.facts.events import Backward, Escape, Forward, Freeze, walk
from gradlint.facts.interpret.tensors import ancestry, parts
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import repeats_around
from gradlint.facts.values import Tensor, constant, is_module

_GRADIENTS = ("torch.autograd.grad", "torch.autograd.backward")


def differentiated(facts: TrainingFacts, evaluation: Evaluation) -> bool:
    """Whether something goes back through what an evaluation's forward computed, or may."""
    return _asked(facts, evaluation) or _gone_back(evaluation) or _called(facts, evaluation)


def recorded(evaluation: Evaluation) -> bool:
    """Whether an evaluation records graphs, and the network itself does not switch that off inside."""
    if evaluation.first.recording is not True:
        return False
    found = [part for part in parts([evaluation.first.result]) if isinstance(part, Tensor)]
    return any(part.roots or part.mystery for part in found) or not any(part.surely_cut for part in found)


def _asked(facts: TrainingFacts, evaluation: Evaluation) -> bool:
    """Whether the loop asks for gradients of its inputs, or hands the module to code that cannot be seen."""
    around = [loop.number for loop in repeats_around(evaluation.run.tree, evaluation.first)]
    for event in walk(evaluation.block.body):
        if isinstance(event, Freeze) and event.trainable is not False and not is_module(event.target):
            return True
        if isinstance(event, Escape) and relations.takes(event, evaluation.module):
            return True
    return any(
        write.name == "requires_grad" and set(around) <= set(write.repeats) and constant(write.value) is not False
        for write in facts.writes
    )


def _gone_back(evaluation: Evaluation) -> bool:
    """Whether a backward behind the loop takes its results: no other forward is there to be meant."""
    tree, first = evaluation.run.tree, evaluation.first
    around = repeats_around(tree, first)
    inside = walk(evaluation.block.body)
    others = [e for e in walk(tree) if isinstance(e, Forward) and e.module is first.module and e not in inside]
    for event in walk(tree):
        if not isinstance(event, Backward):
            continue
        graph = ancestry(event.loss)
        if id(first.result) in graph:
            return True
        behind = event.function == first.function and all(loop in around for loop in repeats_around(tree, event))
        if behind and not any(id(other.result) in graph for other in others):
            return True
    return False


def _called(facts: TrainingFacts, evaluation: Evaluation) -> bool:
    """Whether `torch.autograd.grad` is called behind the loop, in the same function."""
    numbers = [loop.number for loop in repeats_around(evaluation.run.tree, evaluation.first)]
    return any(
        call.name in _GRADIENTS
        and call.function == evaluation.first.function
        and all(number in numbers for number in call.repeats)
        for call in facts.calls
    )
