"""GL608: Adam's eps over parameters kept in float16, where it is zero."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import rates, relations
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.values import External, Layer, Optimizer, Parameters, Value, number
from gradlint.options import Options

_SMALLEST = 2.0**-24
"""The smallest positive float16, 5.96e-8."""
_DEFAULT = 1e-8
_HALF = frozenset({"torch.float16", "torch.half"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every Adam by the parameters it was given."""
    if facts.frameworks:
        return
    for optimizer in facts.optimizers:
        given = optimizer.settings.get("eps")
        eps = _DEFAULT if given is None else number(given)
        if (
            rates.family_of(optimizer) != "adam"
            or eps is None
            or eps >= _SMALLEST
            or optimizer.place.path != facts.path
        ):
            continue
        owners = [owner for p in optimizer.parameters if isinstance(p, Parameters) for owner in p.owners]
        owner = next((owner for owner in owners if _is_half(facts, owner, optimizer)), None)
        if owner is not None:
            values = {"optimizer": optimizer.name, "eps": f"{eps:g}", "model": facts.name_of(owner, "the model")}
            yield Finding("half-precision-eps", optimizer.place.path, Range(*optimizer.place.at), values)


def _is_half(facts: TrainingFacts, owner: Value, optimizer: Optimizer) -> bool:
    """Whether the last conversion before the optimizer, in the same file, was one to float16."""
    if isinstance(owner, Layer) and any(_half(owner.keywords.get(key)) for key in ("torch_dtype", "dtype")):
        return True
    state = False
    for call in facts.calls:
        if call.place.path != optimizer.place.path or call.place.at > optimizer.place.at or call.conditional:
            continue
        if call.name == "torch.set_default_dtype":
            state = any(_half(value) for value in call.arguments)
        elif (
            call.name in ("Module.half", "Module.to")
            and call.receiver is not None
            and relations.overlap(call.receiver, owner)
        ):
            state = _converts(call, state)
    return state


def _converts(call: CallFact, before: bool) -> bool:
    if call.name == "Module.half":
        return True
    dtypes = [
        v for v in (*call.arguments, *call.keywords.values()) if isinstance(v, External) and v.name.startswith("torch.")
    ]
    return any(_half(value) for value in dtypes) if dtypes else before


def _half(value: Value | None) -> bool:
    return isinstance(value, External) and value.name in _HALF
