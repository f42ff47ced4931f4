"""GL719: a distribution built of logits as probabilities, or the reverse, or sampled where the gradient must pass."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs, sampling
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.options import Options

_PROBABILITIES = {
    "Categorical": 0, "OneHotCategorical": 0, "OneHotCategoricalStraightThrough": 0, "Bernoulli": 0, "Geometric": 0,
    "ContinuousBernoulli": 0, "Binomial": 1, "NegativeBinomial": 1, "Multinomial": 1, "RelaxedBernoulli": 1,
    "RelaxedOneHotCategorical": 1,
}  # fmt: skip
"""At which position a distribution takes its probabilities; the logits come next."""
_NOT_PROBABILITIES = outputs.LOGITS | {"log_softmax", "logsigmoid"}
_NOT_LOGITS = frozenset({"softmax", "sigmoid"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge what each distribution is built of, and each sample that a loss is computed from."""
    for call in facts.calls:
        if call.place.path != facts.path or not call.name.startswith("torch.distributions."):
            continue
        problem = _misread(call)
        if problem:
            yield _finding(call, call.name.rpartition(".")[2], problem)
    for call in sampling.blocking(facts):
        yield _finding(call, "sample()", "the loss needs the gradient through this sample: use `rsample()`")


def _misread(call: CallFact) -> str:
    position = _PROBABILITIES.get(call.name.rpartition(".")[2])
    if position is None or call.recording is False:
        return ""
    given = outputs.form_of(call.argument(position, "probs"))
    if given is not None and given.kind in _NOT_PROBABILITIES:
        return f"takes {outputs.described(given)} for probabilities: pass it as `logits=`"
    given = outputs.form_of(call.argument(position + 1, "logits"))
    if given is not None and given.kind in _NOT_LOGITS:
        return f"takes {outputs.described(given)} for logits: pass it as `probs=`"
    return ""


def _finding(call: CallFact, name: str, problem: str) -> Finding:
    values: dict[str, str | int | float] = {"call": f"`{name}`", "problem": problem}
    return Finding("distribution-argument-mismatch", call.place.path, Range(*call.place.at), values)
