"""For reading: header, the source with the exact span underlined, what to do, related places."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Applicability, Diagnostic, Range
from gradlint.plain_diagnostic import measurement
from gradlint.report import Report
from gradlint.reporters._data import where
from gradlint.reporters._text import mark, paint, summary

MAX_LINES = 6
"""A span over more lines shows its first ones."""

MAX_WIDTH = 240
"""Longer lines are cut around the span."""


def render(report: Report) -> Iterator[str]:
    """One block each, an empty line between, and a summary."""
    for diagnostic in report.diagnostics:
        yield from _block(diagnostic, report)
        yield "\n"
    yield from summary(report)


def _block(diagnostic: Diagnostic, report: Report) -> Iterator[str]:
    colour = report.colour
    code = paint(diagnostic.code, diagnostic.severity.value, colour)
    place = paint(where(diagnostic), "bold", colour)
    yield f"{place}: {code} {mark(diagnostic)}{diagnostic.message}\n"
    yield from _frame(diagnostic.filename, diagnostic.cell, diagnostic.range, report, diagnostic.severity.value)
    for item in diagnostic.related:
        yield f"  {paint('note:', 'bold', colour)} {item.path}:{item.range.line}:{item.range.column}: {item.note}\n"
    rule = report.rules.get(diagnostic.name)
    if rule is not None:
        yield f"  {paint('help:', 'bold', colour)} {_first_sentence(rule.fix)}\n"
    fix = diagnostic.fix
    if fix is not None:
        how = {Applicability.SAFE: " (--fix)", Applicability.UNSAFE: " (--unsafe-fixes)", Applicability.DISPLAY: ""}
        yield f"  {paint('fix available:', 'bold', colour)} {fix.message}{how[fix.applicability]}\n"
    verdict = diagnostic.verdict
    if verdict is not None:
        word = paint(verdict.verdict, verdict.verdict, colour)
        number = measurement(verdict)
        more = f" [{number}]" if number else ""
        yield f"  {paint('trace:', 'bold', colour)} {word}: {verdict.reason}{more}\n"


def _first_sentence(text: str) -> str:
    text = " ".join(text.split())
    end = text.find(". ")
    return text if end < 0 else text[: end + 1]


def _frame(path: str, cell: int | None, span: Range, report: Report, style: str) -> Iterator[str]:
    last = span.end_line - 1 if span.end_column == 1 and span.end_line > span.line else span.end_line
    wanted = range(span.line, min(last, span.line + MAX_LINES - 1) + 1)
    lines = [(number, text) for number in wanted if (text := report.sources.line(path, cell, number)) is not None]
    if not lines:
        return
    width = len(str(span.end_line))
    bar = paint("|", "line", report.colour)
    yield f"{' ' * width} {bar}\n"
    for number, text in lines:
        start = span.column - 1 if number == span.line else len(text) - len(text.lstrip())
        end = span.end_column - 1 if number == span.end_line else len(text.rstrip())
        shown, start, end = _cut(text, start, end)
        padding = "".join(letter if letter == "\t" else " " for letter in shown[:start]).ljust(start)
        yield f"{paint(str(number).rjust(width), 'line', report.colour)} {bar} {shown}\n"
        yield f"{' ' * width} {bar} {padding}{paint('^' * max(end - start, 1), style, report.colour)}\n"
    if last > lines[-1][0]:
        yield f"{' ' * width} {bar} ...\n"


def _cut(text: str, start: int, end: int) -> tuple[str, int, int]:
    """A window of MAX_WIDTH characters around the span, and the span in it."""
    text = text.replace("\x0c", " ")
    if len(text) <= MAX_WIDTH:
        return text, start, end
    left = max(0, start - MAX_WIDTH // 4)
    right = min(len(text), left + MAX_WIDTH)
    before = "..." if left else ""
    after = "..." if right < len(text) else ""
    shift = len(before) - left
    return before + text[left:right] + after, start + shift, min(end, right) + shift
