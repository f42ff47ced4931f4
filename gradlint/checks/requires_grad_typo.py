"""GL217: an attribute of a tensor, or a keyword of what makes one, that is nearly `requires_grad`."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import lru_cache

from gradlint.diagnostics import Applicability, Edit, Finding, Fix, Range
from gradlint.facts.model import AttributeWrite, TrainingFacts
from gradlint.facts.torch_names import FACTORIES
from gradlint.facts.values import Constant, Tensor, Unknown, is_module
from gradlint.options import Options

_MEANT = "requires_grad"
_ALIKE = 0.8
"""Ratcliff-Obershelp similarity: `require_gradient` 0.83, `required_grad` 0.92; other tensor attributes stay below 0.5.
"""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every attribute written on a tensor and every keyword given to a constructor of one."""
    for write in facts.writes:
        if _takes_it(facts, write) and _misspelt(write.name) and write.target is not None:
            line, column = write.target[2], write.target[3]
            span = Range(line, column - len(write.name), line, column)
            yield _finding(
                write.place.path,
                Range(*write.place.at),
                span,
                write.name,
                getattr(write.owner, "hint", "") or "the tensor",
            )
    for call in facts.calls:
        if not call.name.startswith("torch.") or call.name.rpartition(".")[2] not in FACTORIES | {"Parameter"}:
            continue
        for name in call.keywords:
            if _misspelt(name) and name in call.spans:
                line, column = call.spans[name][:2]
                span = Range(line, column, line, column + len(name))
                yield _finding(call.place.path, Range(*call.place.at), span, name, "the tensor")


def _takes_it(facts: TrainingFacts, write: AttributeWrite) -> bool:
    """Whether a switch was meant: of a tensor, or of a module or something unseen that nobody asks for it again."""
    if isinstance(write.owner, Tensor):
        return True
    if write.name in facts.mentions or write.ready is not None:
        return False
    switch = isinstance(write.value, Constant) and isinstance(write.value.value, bool)
    return is_module(write.owner) or (isinstance(write.owner, Unknown) and switch)


@lru_cache(4096)
def _misspelt(name: str) -> bool:
    return name != _MEANT and SequenceMatcher(None, name, _MEANT).ratio() >= _ALIKE


def _finding(path: str, at: Range, name_at: Range, written: str, target: str) -> Finding:
    fix = Fix(f"write `{_MEANT}`", (Edit(name_at, _MEANT),), Applicability.SAFE)
    return Finding("requires-grad-typo", path, at, {"written": written, "target": target}, fix)
