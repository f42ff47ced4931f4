"""Rounds of linting and fixing in memory, until nothing more can be fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gradlint import fixes
from gradlint.diagnostics import Diagnostic, Edit, Fix, Range
from gradlint.engine import Engine, Survey
from gradlint.errors import SourceError
from gradlint.join import Joiner
from gradlint.report import Report, Sources
from gradlint.suppression import statement_end

ROUNDS = 10
"""Fixes that make way for others need another round; more than this many do not happen unless two rules disagree."""

Choice = Callable[[list[Diagnostic], Sources], "list[tuple[int | None, Fix]]"]


@dataclass
class Fixed:
    """What fixing gave: the report of what is left, and old and new bytes by file."""

    report: Report
    survey: Survey
    before: dict[str, bytes] = field(default_factory=dict)
    after: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def fix(
    engine_for: Callable[[Mapping[str, str | bytes]], Engine], files: list[str], choose: Choice, rounds: int = ROUNDS
) -> Fixed:
    """Lint, apply what `choose` picks, and lint again. Nothing is written to disk."""
    buffers: dict[str, str | bytes] = {}
    result: Fixed | None = None
    refused: dict[str, str] = {}
    for turn in range(rounds + 1):
        engine = engine_for(buffers)
        survey = engine.survey(files)
        sources = Sources(engine.buffers)
        report = Joiner(engine, survey, sources).report()
        result = (
            Fixed(report, survey)
            if result is None
            else Fixed(report, survey, result.before, result.after, result.counts)
        )
        by_file: dict[str, list[Diagnostic]] = {}
        for item in report.diagnostics:
            by_file.setdefault(item.filename, []).append(item)
        changed = False
        for path in files if turn < rounds else ():
            chosen = choose(by_file.get(path, []), sources)
            if chosen and path not in refused:
                changed |= _apply(path, chosen, engine, result, refused)
        if not changed:
            break
        buffers = dict(result.after)
    assert result is not None
    result.survey.problems.extend(refused.values())
    result.report.fixed = result.counts
    return result


def _apply(
    path: str, chosen: list[tuple[int | None, Fix]], engine: Engine, result: Fixed, refused: dict[str, str]
) -> bool:
    data = engine.bytes_of(path)
    try:
        new, count = fixes.apply(data, path, chosen)
    except SourceError as error:
        refused[path] = f"{path}:{error.line}: not fixed: {error}"
        return False
    if new == data:
        return False
    result.before.setdefault(path, data)
    result.after[path] = new
    result.counts[path] = result.counts.get(path, 0) + count
    return True


def ignoring(diagnostics: list[Diagnostic], sources: Sources) -> list[tuple[int | None, Fix]]:
    """For each statement with findings, the edit that adds a comment suppressing them."""
    wanted: dict[tuple[int | None, str, int], list[str]] = {}
    for item in diagnostics:
        if not item.code.startswith("GL99"):
            wanted.setdefault((item.cell, item.filename, item.range.line), []).append(item.code)
    found: list[tuple[int | None, Fix]] = []
    for (cell, path, line), codes in wanted.items():
        source = sources.get(path)
        if source is None:
            continue
        shift = source.first_line(cell) - 1
        last = statement_end(source.text, line + shift)
        text = source.lines[last - 1]
        place = Range(last - shift, len(text) + 1, last - shift, len(text) + 1)
        comment = f"  # gradlint: ignore[{', '.join(sorted(set(codes)))}]"
        found.append((cell, Fix("Suppress", (Edit(place, comment),))))
    return found
