"""Samples that cut a loss off from the distribution they were drawn from, although the loss needs it.

Not meant are samples whose log-probability is what the loss trains (score function), nor those that no loss hangs on.
"""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.events import Backward
from gradlint.facts.formulas import Formula
from gradlint.facts.holding import related
from gradlint.facts.interpret.distributions import KIND
from gradlint.facts.interpret.tensors import ancestry, parts
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.values import Cut, External, Place, Tensor, Value

_REPARAMETERISED = frozenset({
    "Normal", "MultivariateNormal", "LowRankMultivariateNormal", "LogNormal", "Independent", "TransformedDistribution",
    "Laplace", "Gumbel", "Cauchy", "Beta", "Gamma", "Dirichlet", "Uniform", "Exponential", "StudentT", "HalfNormal",
    "RelaxedBernoulli", "RelaxedOneHotCategorical", "LogitRelaxedBernoulli", "LogisticNormal", "Kumaraswamy", "Weibull",
})  # fmt: skip
_KEPT = frozenset({"sum", "mean", "neg"})
_MODULE_OUTPUTS = frozenset({"unknown", "linear", "conv", "minimum", "min"})


def blocking(facts: TrainingFacts) -> Iterator[CallFact]:
    """Every `sample()` that could be an `rsample()`, where a loss trains the distribution and hangs on the sample."""
    losses = [e.loss for run in facts.runs for e in run.events if isinstance(e, Backward)]
    outputs = [part for module in facts.modules for part in _computed(module.output)]
    scored = _scored(facts)
    for call in facts.calls:
        drawn = call.receiver
        if call.name != "Distribution.sample" or not isinstance(drawn, Tensor) or not _reparameterised(drawn):
            continue
        if call.recording is False or call.place.path != facts.path or not drawn.roots:
            continue
        if drawn.place in scored or call.place in scored:
            needed = any(_entropy_regularised(loss, call) for loss in losses)
        else:
            needed = any(_misses(part, call) for loss in losses for part in parts([loss])) or any(
                _misses(part, call) for part in outputs
            )
        if needed:
            yield call


def _scored(facts: TrainingFacts) -> set[Place | None]:
    """Where the distributions stand whose `log_prob` is taken, and the samples that it is taken of."""
    scores = [call for call in facts.calls if call.name == "Distribution.log_prob"]
    drawn = [part for call in scores for part in parts([*call.arguments, *call.keywords.values()])]
    cuts = (cut for part in drawn if isinstance(part, Tensor) for cut in part.cuts if cut.kind == "sample")
    return {call.receiver.place for call in scores if isinstance(call.receiver, Tensor)} | {cut.place for cut in cuts}


def _reparameterised(drawn: Tensor) -> bool:
    return isinstance(drawn.owner, External) and drawn.owner.name.rpartition(".")[2] in _REPARAMETERISED


def _computed(output: Value | None) -> list[Tensor]:
    """What a forward gives back, unless it gives back a sample or a distribution, of which others may ask anything."""
    found = [part for part in parts([output]) if isinstance(part, Tensor)]
    return [] if any(part.attribute == KIND or _sample(part) for part in found) else found


def _sample(part: Tensor) -> bool:
    return not part.roots and bool(part.cuts) and part.cuts[-1].kind == "sample"


def _misses(part: Value, call: CallFact) -> bool:
    """Whether a result was computed from the sample, and trains what the sample was drawn from all the same."""
    if not isinstance(part, Tensor) or not part.roots:
        return False
    cut = _cut(part, call)
    return cut is not None and any(related(lost, root) for lost in cut.lost for root in part.roots)


def _cut(part: Tensor, call: CallFact) -> Cut | None:
    return next((cut for cut in part.cuts if cut.kind == "sample" and cut.place == call.place), None)


def _entropy_regularised(loss: Value, call: CallFact) -> bool:
    """Whether a loss is `weight * log_prob(sample) - value(sample)`: the value is to be raised through the sample."""
    for above in ancestry(loss).values():
        formula = above.formula if isinstance(above, Tensor) else None
        if formula is None or formula.op not in ("-", "+") or len(formula.inputs) != 2:
            continue
        for one, other in (formula.inputs, formula.inputs[::-1]):
            if _log_probability(one) and _valued(other, call):
                return True
    return False


def _peeled(formula: Formula) -> Formula:
    while formula.op in _KEPT and formula.inputs:
        formula = formula.inputs[0]
    return formula


def _log_probability(formula: Formula) -> bool:
    """A log-probability, perhaps weighted or corrected by something that is none itself."""
    formula = _peeled(formula)
    if formula.op in ("*", "+", "-"):
        # A product is weighted; a sum or difference holds the correction of a squashed sample.
        return any(map(_log_probability, formula.inputs[: 1 if formula.op == "-" else 2]))
    return isinstance(formula.value, Tensor) and formula.value.attribute == "log_prob"


def _valued(formula: Formula, call: CallFact) -> bool:
    """The output of a module that took the sample."""
    formula = _peeled(formula)
    value = formula.value
    if formula.op not in _MODULE_OUTPUTS or not isinstance(value, Tensor):
        return False
    return bool(value.roots) and _cut(value, call) is not None
