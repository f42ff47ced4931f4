"""GL712: a loss that is not symmetric, given the target first and the prediction second."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.facts.roles import carries_graph
from gradlint.facts.values import Tensor, Unknown, Value, constant
from gradlint.options import Options

_ORDERED = frozenset(
    {"CrossEntropyLoss", "NLLLoss", "NLLLoss2d", "BCELoss", "BCEWithLogitsLoss", "MultiMarginLoss",
     "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "PoissonNLLLoss", "GaussianNLLLoss", "HingeEmbeddingLoss"}
)  # fmt: skip
_DATA = frozenset({"item", "parameter", "attribute", "merge"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Look for losses whose gradient could flow into their second argument only."""
    for loss in facts.losses:
        if loss.place.path != facts.path or not _predicted(loss.target):
            continue
        if (loss.kind in _ORDERED and _given(loss.input)) or _swapped_divergence(loss):
            values = {"loss": outputs.named(facts, loss), "first": _name(facts, loss.input, "target"),
                      "second": _name(facts, loss.target, "prediction")}  # fmt: skip
            yield Finding("swapped-loss-arguments", loss.place.path, Range(*loss.place.at), values)


def _swapped_divergence(loss: LossCall) -> bool:
    """Probabilities first and log-probabilities second; with the logarithm first, it may be the reverse divergence."""
    if loss.kind != "KLDivLoss" or constant(loss.keywords.get("log_target")):
        return False
    first, second = outputs.form_of(loss.input), outputs.form_of(loss.target)
    forms = (first.kind, second.kind) if first is not None and second is not None else None
    return forms == ("softmax", "log_softmax") and isinstance(loss.input, Tensor) and not loss.input.attached


def _given(value: Value | None) -> bool:
    """Whether a value is data: nothing went in that hangs on parameters, or only a decision of them, as `argmax`."""
    if isinstance(value, Tensor):
        decided = bool(value.cuts) and value.cuts[-1].kind.startswith("non-differentiable")
        return not value.roots and not value.mystery and not value.attribute and (decided or not _lost(value))
    return isinstance(value, Unknown) and value.origin in _DATA and not carries_graph(value)


def _predicted(value: Value | None) -> bool:
    """Whether a value surely hangs on parameters, or would, had it been computed with recording."""
    return isinstance(value, Tensor) and (value.attached or _lost(value, "no_grad", "inference_mode"))


def _lost(value: Tensor, *kinds: str) -> bool:
    """Whether a value was cut from parameters in one of these ways (none given: in any)."""
    return any(cut.lost and (not kinds or cut.kind in kinds) for cut in value.cuts)


def _name(facts: TrainingFacts, value: Value | None, fallback: str) -> str:
    return facts.name_of(value, "") or getattr(value, "hint", "") or fallback
