"""GL303: a recurrent layer without gates over so many steps that the first ones get no gradient."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import magnitudes, ops, signal
from gradlint.facts.model import Recurrence, TrainingFacts
from gradlint.facts.values import Layer, constant, integer
from gradlint.options import Options

_DECADES = -3.0


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every nn.RNN and RNNCell by its longest known run and its default weights."""
    uses: dict[Layer, list[Recurrence]] = {}
    for recurrence in facts.recurrences:
        uses.setdefault(recurrence.layer, []).append(recurrence)
    seen = set()
    for layer, found in uses.items():
        steps = _steps(layer, found)
        if layer.name not in ("RNN", "RNNCell") or steps is None or steps < options.integer("steps"):
            continue
        decades = signal.time_decades(_cell(layer, steps)) if not _set(layer) else None
        place = layer.place
        if decades is None or decades > _DECADES or place is None or place.path != facts.path or place in seen:
            continue
        seen.add(place)
        ratio = magnitudes.format_decades(decades)
        values: dict[str, str | int] = {"layer": facts.name_of(layer, layer.name), "steps": steps, "ratio": ratio}
        yield Finding("vanilla-rnn-long-sequence", place.path, Range(*place.at), values)


def _steps(layer: Layer, uses: list[Recurrence]) -> int | None:
    """The longest stretch the gradient goes back in one application, or over a cell's own loop."""
    if layer.name == "RNN":
        return max((use.length for use in uses if use.length is not None), default=None)
    rounds = [count for use in uses if use.fed for _, count in use.repeats[-1:] if count is not None]
    fed = sum(use.fed and not use.repeats for use in uses)
    return max([*rounds, fed + 1 if fed else 0], default=None)


def _cell(layer: Layer, steps: int) -> ops.Recurrent:
    kind = constant(layer.argument(3, "nonlinearity"))
    name = "rnn_relu" if kind == "relu" else "rnn_tanh"
    inputs, hidden = integer(layer.argument(0, "input_size")), integer(layer.argument(1, "hidden_size"))
    return ops.Recurrent(name, inputs, hidden, steps)


def _set(layer: Layer) -> bool:
    """Whether the script sets the recurrent weights: orthogonal and identity ones are made for long sequences."""
    return any(name.startswith("weight_hh") for name in layer.started)
