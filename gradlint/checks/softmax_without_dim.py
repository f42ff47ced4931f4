"""GL711: a softmax that is not told its dimension."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import code, spelling
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.values import Collection, Constant
from gradlint.options import Options

_POSITIONS = {
    **{f"torch.nn.functional.{name}": 1 for name in ("softmax", "log_softmax", "softmin")},
    **{f"torch.nn.{name}": 0 for name in ("Softmax", "LogSoftmax", "Softmin")},
}
"""Where each of them takes its dimension."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every softmax of torch whose dimension may be left out."""
    for call in facts.calls:
        position = _POSITIONS.get(call.name)
        if position is None or _unseen(call) or call.place.path != facts.path:
            continue
        dim = call.argument(position, "dim")
        if dim is not None and not (isinstance(dim, Constant) and dim.value is None):
            continue
        node = spelling.expression_at(facts, call.place)
        if isinstance(node, code.Call) and any(argument.star for argument in node.arguments):
            # Another caller may spread a dimension out here.
            continue
        values: dict[str, str | int | float] = {"function": f"`{call.name.rpartition('.')[2]}`", "implicit": 0}
        yield Finding("softmax-without-dim", call.place.path, Range(*call.place.at), values)


def _unseen(call: CallFact) -> bool:
    """Whether the dimension may be among arguments that are spread out: `softmax(*args)`."""
    return "**" in call.keywords or any(isinstance(given, Collection) for given in call.arguments)
