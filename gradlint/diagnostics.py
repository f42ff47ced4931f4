"""What both wings say: plain data with no syntax node, no colour and no path logic.

A check yields `Finding`s. The engine joins each with its rule (code, severity, message) into a `Diagnostic`.
Lines and columns are 1-based and count characters; an end is exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Severity(str, Enum):
    """How bad it is if the finding is right."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    HINT = "hint"


class Applicability(str, Enum):
    """Whether a fix may be applied without a look: `--fix` takes safe ones, `--unsafe-fixes` the next."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    DISPLAY = "display"


class Range(NamedTuple):
    """A span of one file, 1-based, end exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters of `range` by `text`; an empty range inserts."""

    range: Range
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits that belong together, and whether they may be applied without a look."""

    message: str
    edits: tuple[Edit, ...]
    applicability: Applicability = Applicability.SAFE


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that explains a finding: the constructor, the softmax three files away."""

    path: str
    range: Range
    note: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check yields: the rule's name, a place and the named values of the rule's message."""

    rule: str
    path: str
    range: Range
    values: Mapping[str, str | int | float] = field(default_factory=dict)
    fix: Fix | None = None
    related: tuple[Related, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one traced step says about a finding.

    `verdict` is confirmed, refuted or inconclusive; `value` is the measurement in `unit`, compared with `threshold`.
    """

    verdict: str
    reason: str
    value: float | None = None
    unit: str = ""
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding joined with its rule, ready to be printed."""

    code: str
    name: str
    message: str
    severity: Severity
    confidence: str
    filename: str
    range: Range
    cell: int | None = None
    url: str = ""
    fix: Fix | None = None
    related: tuple[Related, ...] = ()
    verdict: Verdict | None = None

    @property
    def sort_key(self) -> tuple[str, int, int, int, str]:
        """Order of printing: file, notebook cell, line, column, code."""
        return (self.filename, self.cell or 0, self.range.line, self.range.column, self.code)
