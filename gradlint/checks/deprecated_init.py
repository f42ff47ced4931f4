"""GL506: an initialiser called by its name from before PyTorch 0.4."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Edit, Finding, Fix, Range
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.options import Options

_PREFIX = "torch.nn.init."
_OLD = frozenset({
    "uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal", "kaiming_uniform",
    "kaiming_normal", "orthogonal", "sparse",
})  # fmt: skip


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every call into torch.nn.init."""
    for call in facts.calls:
        old = call.name.removeprefix(_PREFIX)
        if call.name.startswith(_PREFIX) and old in _OLD and call.place.path == facts.path:
            values = {"old": old, "new": f"{old}_"}
            yield Finding("deprecated-init", call.place.path, Range(*call.place.at), values, _fix(call, old))


def _fix(call: CallFact, old: str) -> Fix | None:
    """The underscore; none where the name was imported or bound as another one."""
    span = call.spans.get(f".{old}")
    if span is None:
        return None
    end = span[2:]
    return Fix(f"Call `{old}_`", (Edit(Range(*end, *end), "_"),))
