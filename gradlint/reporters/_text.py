"""What the formats for people share: colour, marks and the closing line."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Applicability, Diagnostic
from gradlint.report import Report

_COLOURS = {
    "error": "1;31", "warning": "1;33", "info": "1;34", "hint": "1;36", "bold": "1", "dim": "2", "line": "1;34",
    "confirmed": "1;31", "refuted": "1;32", "inconclusive": "1;33", "good": "1;32",
}  # fmt: skip


def paint(text: str, style: str, colour: bool) -> str:
    """`text` in an ANSI colour, or as it is."""
    return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if colour else text


def mark(diagnostic: Diagnostic) -> str:
    """`[*] ` where `--fix` would change something."""
    fix = diagnostic.fix
    return "[*] " if fix is not None and fix.applicability is Applicability.SAFE else ""


def summary(report: Report) -> Iterator[str]:
    """How many, and what `--fix` could do."""
    if report.quiet:
        return
    fixed = sum(report.fixed.values())
    if not report.diagnostics and not report.is_whole:
        return
    if not report.diagnostics:
        text = f"Fixed {_count(fixed, 'finding')}; nothing is left." if fixed else "All checks passed!"
        yield paint(text, "good", report.colour) + "\n"
        return
    counts: dict[str, int] = {}
    for diagnostic in report.diagnostics:
        counts[diagnostic.severity.value] = counts.get(diagnostic.severity.value, 0) + 1
    kinds = ", ".join(_count(counts[kind], kind) for kind in ("error", "warning", "info", "hint") if kind in counts)
    more = f" ({fixed} fixed)" if fixed else ""
    yield f"Found {_count(len(report.diagnostics), 'finding')}: {kinds}{more}.\n"
    safe = sum(1 for item in report.diagnostics if item.fix and item.fix.applicability is Applicability.SAFE)
    unsafe = sum(1 for item in report.diagnostics if item.fix and item.fix.applicability is Applicability.UNSAFE)
    if safe:
        yield f"[*] {_count(safe, 'fix', 'fixes')} available with `--fix`.\n"
    if unsafe:
        more = " more" if safe else ""
        yield f"{unsafe}{more} {'fix' if unsafe == 1 else 'fixes'} available with `--unsafe-fixes`.\n"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 or one == 'info' else many or one + 's'}"
