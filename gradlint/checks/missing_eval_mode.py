"""GL802: an evaluation loop over a module with dropout or batch norm that is still in train mode."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.evaluation import Evaluation, covers, evaluations, mode_layers
from gradlint.facts.events import Backward, ModeSwitch
from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.modes import TrainMode
from gradlint.facts.values import Place, is_module
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the first call of each module in every evaluation loop; what one loop forgets is one finding."""
    forgotten: dict[int, list[tuple[Evaluation, Place]]] = {}
    for evaluation in evaluations(facts):
        seen = is_module(evaluation.module)
        depends = modules.mode_dependent(evaluation.module) if seen else None
        if depends is False or (depends is None and not _switched_on(facts, evaluation)):
            continue
        if _left_to_caller(facts, evaluation):
            continue
        for judgement in TrainMode(evaluation.module, evaluation.first).run(evaluation.run.tree):
            if judgement.verdict == "sure" or (judgement.verdict == "maybe" and options.strict):
                forgotten.setdefault(id(evaluation.block), []).append((evaluation, judgement.origin.place))
    for found in forgotten.values():
        names = list(dict.fromkeys(facts.name_of(evaluation.module, "model") for evaluation, _ in found))
        layers = list(dict.fromkeys(mode_layers(evaluation.module) or "" for evaluation, _ in found))
        _, place = found[0]
        be = "is" if len(names) == 1 else "are"
        values = {"modules": ", ".join(f"`{name}`" for name in names), "be": be, "layers": ", ".join(layers)}
        yield Finding("missing-eval-mode", place.path, Range(*place.at), values)


def _switched_on(facts: TrainingFacts, evaluation: Evaluation) -> bool:
    """Whether the script cares for the mode of a module that nobody can see into: it calls `train()` of it, never
    `eval()`, and evaluates without recording.
    """
    events = [e for run in facts.runs for e in run.events if isinstance(e, ModeSwitch)]
    own = [e.training for e in events if e.module is evaluation.module]
    return bool(own) and all(own) and all(e.training for e in events) and evaluation.first.recording is False


def _left_to_caller(facts: TrainingFacts, evaluation: Evaluation) -> bool:
    """Whether another way into the code switches the module to eval mode and may lead here."""
    own = evaluation.run.events
    here = any(isinstance(e, Backward) and e.tensor is not None and evaluation.module in e.tensor.roots for e in own)
    switches = [e for run in facts.runs if run is not evaluation.run for e in run.events if isinstance(e, ModeSwitch)]
    return not here and any(e.training is not True and covers(e.module, evaluation.module) for e in switches)
