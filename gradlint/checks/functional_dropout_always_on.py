"""GL804: `F.dropout(x)` in a module's forward, which drops in evaluation too."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import number
from gradlint.options import Options

_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
_OFF_BY_DEFAULT = ("alpha_dropout", "feature_alpha_dropout")
_BY_DESIGN = re.compile(r"prenet|mc_?dropout|monte_?carlo", re.IGNORECASE)
"""Modules that drop in evaluation too: Tacotron's prenet in synthesis, and sampling from a network."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every functional dropout that a forward calls on every path."""
    for call in facts.calls:
        family, _, name = call.name.rpartition(".")
        if family != "torch.nn.functional" or name not in _DROPOUTS or name in _OFF_BY_DEFAULT:
            continue
        if call.forward_of is None or call.conditional or "**" in call.keywords:
            continue
        if call.argument(2, "training") is not None or _BY_DESIGN.search(call.forward_of.name):
            continue
        rate = number(call.argument(1, "p")) if call.argument(1, "p") is not None else 0.5
        if rate == 0.0:
            continue
        values = {"call": f"F.{name}", "rate": f"{rate:.0%}" if rate is not None else "some"}
        yield Finding("functional-dropout-always-on", call.place.path, Range(*call.place.at), values)
