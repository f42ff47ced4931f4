"""GL903: a Backward inside an autocast block."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Backward, Within
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import nodes_around
from gradlint.facts.values import Constant, Place, Tensor, Unknown
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every Backward by the innermost autocast block around it."""
    seen: set[Place] = set()
    for run in facts.runs:
        for event in run.events:
            if not isinstance(event, Backward) or event.place in seen:
                continue
            around = [node.context for node in nodes_around(run.tree, event) if isinstance(node, Within)]
            contexts = [context for context in around if context.kind == "autocast"]
            if not contexts:
                continue
            enabled = contexts[-1].argument
            if isinstance(enabled, Constant) and not enabled.default and not enabled.value:
                continue
            seen.add(event.place)
            hint = event.loss.hint if isinstance(event.loss, (Tensor, Unknown)) else ""
            values: dict[str, str | int | float] = {
                "call": f"{hint or 'loss'}.backward()",
                "line": contexts[-1].place.line_from(event.place.path),
            }
            yield Finding("backward-under-autocast", event.place.path, Range(*event.place.at), values)
