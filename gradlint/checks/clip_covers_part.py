"""GL407: a clip of other parameters than those that are stepped, or of some of them only."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import coverage, relations
from gradlint.facts.clip_coverage import Partly, Unused
from gradlint.facts.clipping import Clip, clips, stepped
from gradlint.facts.events import Backward, OptimizerStep, Run
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Judgement
from gradlint.facts.values import Place, Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every clip of every run."""
    seen: set[Place] = set()
    for run in facts.runs:
        for clip, step, left in _found(facts, run, options.strict):
            if clip.place not in seen:
                seen.add(clip.place)
                yield _finding(facts, clip, step, left)


def _found(facts: TrainingFacts, run: Run, strict: bool) -> Iterator[tuple[Clip, OptimizerStep, Value | None]]:
    found = {id(clip.event): clip for clip in clips(run.tree)}
    optimizers = stepped(run)
    if not found or not optimizers:
        return
    for judgement in Unused(found, facts.optimizers).run(run.tree):
        if _wanted(judgement, strict) and not _trained_by_none(facts, run, found[id(judgement.origin)]):
            yield found[id(judgement.origin)], _step(judgement), None
    for optimizer in optimizers:
        own = {key: clip for key, clip in found.items() if relations.overlap(clip.target, optimizer)}
        machine = Partly(optimizer, own, facts)
        for judgement in machine.run(run.tree) if own else []:
            if _wanted(judgement, strict):
                yield found[id(judgement.origin)], _step(judgement), machine.left[id(judgement.origin)]


def _trained_by_none(facts: TrainingFacts, run: Run, clip: Clip) -> bool:
    """Whether the loss trains what is clipped and no optimizer holds it: then the optimizer is what is wrong."""
    if any(relations.overlap(clip.target, optimizer) is not False for optimizer in facts.optimizers):
        return False
    losses = [event.tensor for event in run.events if isinstance(event, Backward) and event.tensor is not None]
    return any(relations.overlap(root, clip.target) for loss in losses for root in loss.roots)


def _wanted(judgement: Judgement, strict: bool) -> bool:
    return judgement.verdict == "sure" or (strict and judgement.verdict == "maybe")


def _step(judgement: Judgement) -> OptimizerStep:
    return next(event for event in judgement.bad if isinstance(event, OptimizerStep))


def _finding(facts: TrainingFacts, clip: Clip, step: OptimizerStep, left: Value | None) -> Finding:
    unclipped = [left] if left is not None else coverage.sources(step.optimizer)
    values: dict[str, str | int | float] = {
        "clip": clip.callee,
        "clipped": _names(facts, coverage.sources(clip.target)),
        "optimizer": facts.name_of(step.optimizer, "optimizer"),
        "step_line": step.place.line_from(clip.place.path),
        "unclipped": _names(facts, unclipped),
    }
    return Finding("clip-covers-part", clip.place.path, Range(*clip.place.at), values)


def _names(facts: TrainingFacts, values: list[Value]) -> str:
    names = [facts.name_of(value, getattr(value, "name", "") or "other parameters") for value in values]
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names)) or "other parameters"
