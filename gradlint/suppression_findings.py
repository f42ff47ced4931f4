"""What is wrong with a suppression comment, with the edit that takes it away."""

from __future__ import annotations

import difflib

from gradlint.diagnostics import Applicability, Edit, Finding, Fix, Range
from gradlint.source import Source
from gradlint.suppression import VERBS, Comment


def unused_finding(source: Source, comment: Comment, idle: list[str]) -> Finding:
    """GL992: the comment, or the codes in it, accept nothing."""
    what = ", ".join(f"`{code}`" for code in idle) if idle else "any rule"
    edit = without(source, comment, idle or [code for code, _ in comment.codes])
    place = comment.range
    if idle and len(idle) < len(comment.codes):
        place = next(range for code, range in comment.codes if code in idle)
    fix = Fix("Remove what suppresses nothing", (edit,), Applicability.SAFE)
    return Finding("unused-suppression", source.path, place, {"what": what}, fix)


def unknown_finding(source: Source, comment: Comment, code: str, range: Range, names: dict[str, str]) -> Finding:
    """GL993: a code that no rule has, or a directive that gradlint does not know."""
    if not comment.is_known:
        near = difflib.get_close_matches(code, VERBS, 1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(VERBS)}"
        return Finding("unknown-code-in-suppression", source.path, range, {"what": f"directive `{code}`", "hint": hint})
    near = [] if code[-1:].isdigit() else difflib.get_close_matches(code.lower(), names, 1)
    if near:
        fix = Fix(f"Write `{near[0]}`", (Edit(range, near[0]),), Applicability.UNSAFE)
        hint = f"; did you mean `{near[0]}`?"
    else:
        fix = Fix("Remove the unknown code", (without(source, comment, [code]),), Applicability.SAFE)
        hint = ""
    return Finding("unknown-code-in-suppression", source.path, range, {"what": f"rule `{code}`", "hint": hint}, fix)


def without(source: Source, comment: Comment, codes: list[str]) -> Edit:
    """The edit that takes codes out of a comment; with none left, the directive goes, and an empty line with it."""
    left = [code for code, _ in comment.codes if code not in codes]
    line = comment.range.line
    if left:
        first, last = comment.codes[0][1], comment.codes[-1][1]
        return Edit(Range(line, first.column, line, last.end_column), ", ".join(left))
    text = source.lines[line - 1]
    next_comment = text.find("#", comment.range.column)
    end = next_comment if next_comment >= 0 else len(text)
    before = text[: comment.range.column - 1]
    if next_comment >= 0:
        return Edit(Range(line, comment.range.column, line, end + 1), "")
    if not before.strip() and line < len(source.lines):
        return Edit(Range(line, 1, line + 1, 1), "")
    return Edit(Range(line, len(before.rstrip()) + 1, line, end + 1), "")
