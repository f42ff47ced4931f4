"""GL205: an operation without a useful derivative on the only path from something that is trained to the loss."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range, Related
from gradlint.facts.formulas import Formula
from gradlint.facts.interpret.ranges import formula_of
from gradlint.facts.model import TrainingFacts
from gradlint.facts.updates import Update, updates
from gradlint.facts.values import Cut, Tensor, Value
from gradlint.options import Options

_MARK = "non-differentiable "
_COPIES = (
    "zeros_like",
    "ones_like",
    "rand_like",
    "randn_like",
    "empty_like",
    "full_like",
    "isnan",
    "isinf",
    "isfinite",
    "unique",
)


_LINEAR = frozenset({"+", "-", "neg", "mean", "sum"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss whose gradients an optimizer is stepped with, and the terms that it is the sum of."""
    for update in updates(facts):
        for cut in update.loss.cuts:
            if not _marked(cut):
                continue
            module = update.starves(cut)
            if module is not None:
                yield _finding(facts, cut, module, update)
                break
        else:
            yield from _flat_terms(facts, update)


def _flat_terms(facts: TrainingFacts, update: Update) -> Iterator[Finding]:
    """Terms of a loss that depend on what is trained, and through such an operation alone."""
    for term in _terms(formula_of(update.loss)):
        if not isinstance(term, Tensor) or term is update.loss or term.roots or term.mystery:
            continue
        for cut in term.cuts:
            module = update.misses(cut) if _marked(cut) and len(term.cuts) == 1 else None
            if module is not None and cut.place.path == facts.path:
                yield _finding(facts, cut, module, update, term=True)


def _terms(formula: Formula, depth: int = 12) -> Iterator[Value | None]:
    yield formula.value
    if formula.op in _LINEAR and depth > 0:
        for part in formula.inputs:
            yield from _terms(part, depth - 1)


def _marked(cut: Cut) -> bool:
    return cut.kind.startswith(_MARK) and not cut.kind.endswith(_COPIES)


def _finding(facts: TrainingFacts, cut: Cut, module: Value, update: Update, term: bool = False) -> Finding:
    """A term is told with the backward: the other terms may train all that this one does not."""
    values: dict[str, str | int | float] = {
        "op": cut.kind.removeprefix(_MARK), "module": facts.name_of(module, "the model"),
        "part": "a term of " if term else "", "loss": update.loss.hint or "loss",
    }  # fmt: skip
    backward = Related(update.place.path, Range(*update.place.at), "the loss is back-propagated here")
    related = (backward,) if term else ()
    return Finding("non-differentiable-op", cut.place.path, Range(*cut.place.at), values, related=related)
