"""What a run has to say, ready for any reporter: diagnostics, their rules and their source lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from gradlint.catalog import RuleSpec
from gradlint.diagnostics import Diagnostic, Edit, Finding, Fix, Range, Related, Severity
from gradlint.errors import SourceError
from gradlint.source import Source, from_buffer, is_notebook, read


@dataclass(frozen=True)
class Suppressed:
    """A diagnostic that was accepted in the source (`inSource`) or by the baseline (`external`), and why."""

    diagnostic: Diagnostic
    kind: str
    reason: str


@dataclass
class Report:
    """The result of a run. `fixed` counts applied fixes by file; `colour` is for people only."""

    diagnostics: list[Diagnostic]
    rules: Mapping[str, RuleSpec]
    sources: Sources
    suppressed: list[Suppressed] = field(default_factory=list)
    files: int = 0
    fixed: Mapping[str, int] = field(default_factory=dict)
    unsafe_fixes: bool = False
    colour: bool = False
    quiet: bool = False
    is_whole: bool = True
    """False if some file could not be examined: then no findings do not mean that all is well."""


class Sources:
    """Text of the files that diagnostics lie in, read when first asked for."""

    def __init__(self, buffers: Mapping[str, str | bytes] | None = None) -> None:
        self._buffers = dict(buffers or {})
        self._known: dict[str, Source | None] = {}

    def get(self, path: str) -> Source | None:
        """The source at `path`; None if it cannot be read any more."""
        if path not in self._known:
            try:
                self._known[path] = from_buffer(self._buffers[path], path) if path in self._buffers else read(path)
            except (OSError, SourceError):
                self._known[path] = None
        return self._known[path]

    def forget(self, path: str) -> None:
        """The file has been rewritten."""
        self._known.pop(path, None)

    def line(self, path: str, cell: int | None, line: int) -> str | None:
        """One line without its end, counted in its cell for a notebook."""
        source = self.get(path)
        if source is None:
            return None
        if cell is not None:
            first = next((item.first_line for item in source.cells or () if item.number == cell), None)
            if first is None:
                return None
            line += first - 1
        return source.lines[line - 1] if 0 < line <= len(source.lines) else None


def diagnostic(finding: Finding, rule: RuleSpec, sources: Sources) -> Diagnostic:
    """A finding joined with its rule, positions counted in its notebook cell. Raises KeyError for a value not given."""
    cell, range, fix = None, finding.range, finding.fix
    values: Mapping[str, str | int | float] = finding.values
    source = sources.get(finding.path) if is_notebook(finding.path) else None
    if source is not None:
        cell, range = source.place(range)
        values = {key: _in_cell(source, cell, key, value) for key, value in values.items()}
        if fix is not None:
            edits = tuple(Edit(source.place(edit.range)[1], edit.text) for edit in fix.edits)
            fix = Fix(fix.message, edits, fix.applicability)
    return Diagnostic(
        code=rule.code,
        name=rule.name,
        message=" ".join(rule.message.format_map(values).split()),
        severity=Severity(rule.severity),
        confidence=rule.confidence,
        filename=shown(finding.path),
        range=range,
        cell=cell,
        url=rule.url,
        fix=fix,
        related=tuple(Related(shown(item.path), item.range, item.note) for item in finding.related),
    )


def _in_cell(source: Source, cell: int | None, key: str, value: str | int | float) -> str | int | float:
    """A line number that a message speaks of, counted in its cell, which is named where it is another one."""
    if not key.endswith("line") or not isinstance(value, int):
        return value
    other, range = source.place(Range(value, 1, value, 1))
    return range.line if other == cell else f"{range.line} of cell {other}"


def shown(path: str) -> str:
    """A path as it is printed: relative to the current folder where it lies below it."""
    if not os.path.isabs(path):
        return os.path.normpath(path)
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative
