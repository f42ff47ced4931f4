"""GL805: a batch of one sample into a batch-norm that normalises over nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import axes, small_batches
from gradlint.facts.events import Backward, Forward, Run
from gradlint.facts.interpret.tensors import ancestry
from gradlint.facts.loaders import training_loaders
from gradlint.facts.model import TrainingFacts
from gradlint.facts.modes import TrainMode
from gradlint.facts.values import Layer, Place, is_module
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the loaders that training draws from, then single samples that are made a batch."""
    largest = options.integer("batch_size")
    for found in training_loaders(facts):
        least = small_batches.least_batch(found)
        if found.loop is None or least is None or least[0] > largest:
            continue
        for forward in small_batches.whole_batches(facts, found.loop):
            run = next((run for run in facts.runs if forward in run.events), None)
            norm = axes.single_norm(forward.module) if run is not None and _trains(run, forward) else None
            if norm is not None:
                yield _finding(facts, found.call.place, forward, norm, least)
                break
    seen: set[Place] = set()
    for run in facts.runs:
        for forward in [event for event in run.events if isinstance(event, Forward)]:
            if forward.place in seen or not is_module(forward.module):
                continue
            norm = axes.single_norm(forward.module) if small_batches.single_rows(facts, forward) else None
            if norm is not None and _trains(run, forward):
                seen.add(forward.place)
                yield _finding(facts, forward.place, forward, norm, (1, "one sample, unsqueezed"))


def _trains(run: Run, forward: Forward) -> bool:
    """Whether a backward goes through a call, and the module is surely in train mode there."""
    backwards = [e for e in run.events if isinstance(e, Backward)]
    if not any(forward.module in e.tensor.roots for e in backwards if e.tensor is not None):
        return False
    if not any(id(forward.result) in ancestry(e.loss) for e in backwards):
        return False
    return any(judgement.verdict == "sure" for judgement in TrainMode(forward.module, forward).run(run.tree))


def _finding(facts: TrainingFacts, place: Place, forward: Forward, norm: Layer, least: tuple[int, str]) -> Finding:
    values: dict[str, str | int] = {
        "layer": facts.name_of(norm, norm.name),
        "module": facts.name_of(forward.module, "the model"),
        "size": least[0],
        "reason": least[1],
    }
    return Finding("batch-norm-single-sample", place.path, Range(*place.at), values)
