"""GL205: an operation without a useful derivative on the only path from something that is trained to the loss."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.updates import updates
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


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every loss whose gradients an optimizer is stepped with."""
    for update in updates(facts):
        for cut in update.loss.cuts:
            if not cut.kind.startswith(_MARK) or cut.kind.endswith(_COPIES):
                continue
            module = update.starves(cut)
            if module is not None:
                values: dict[str, str | int | float] = {
                    "op": cut.kind.removeprefix(_MARK), "module": facts.name_of(module, "the model"),
                    "loss": update.loss.hint or "loss",
                }  # fmt: skip
                yield Finding("non-differentiable-op", cut.place.path, Range(*cut.place.at), values)
                break
