"""Loss scaling for float16: which objects scale, and where their scale starts."""

from __future__ import annotations

from gradlint.facts.model import TrainingFacts
from gradlint.facts.roles import role
from gradlint.facts.values import Choice, Constant, Scaler, Unknown, Value, number

INITIAL = 65536.0
"""The scale of a torch GradScaler at the start, where the code sets none."""


def scales(value: Value | None) -> bool:
    """Whether a value is a GradScaler that is not switched off for good; an unseen one is known by its role."""
    if isinstance(value, Choice):
        return all(scales(option) for option in value.options)
    if isinstance(value, Scaler):
        enabled = value.enabled
        return not (isinstance(enabled, Constant) and not enabled.default and not enabled.value)
    return isinstance(value, Unknown) and role(value) == "scaler"


def initial_scale(facts: TrainingFacts, scaler: Value | None) -> str:
    """The scale at the start, as text."""
    for call in facts.calls:
        if call.result is scaler and "init_scale" in call.keywords:
            given = number(call.keywords["init_scale"])
            return f"{given:,.0f}" if given is not None else "its initial value"
    return f"{INITIAL:,.0f}"
