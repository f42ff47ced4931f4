"""Findings and comments as nested tuples of plain values, and back: what the cache holds."""

from __future__ import annotations

from typing import Any

from gradlint.diagnostics import Applicability, Edit, Finding, Fix, Range, Related
from gradlint.suppression import Comment


def finding_to_plain(finding: Finding) -> tuple[Any, ...]:
    """Inverse of `finding_from_plain`."""
    fix = finding.fix
    return (
        finding.rule,
        finding.path,
        range_to_plain(finding.range),
        dict(finding.values),
        fix and (fix.message, [(range_to_plain(edit.range), edit.text) for edit in fix.edits], fix.applicability.value),
        [(related.path, range_to_plain(related.range), related.note) for related in finding.related],
    )


def finding_from_plain(data: Any) -> Finding:
    """Inverse of `finding_to_plain`."""
    rule, path, range, values, fix, related = data
    return Finding(
        rule,
        path,
        Range(*range),
        values,
        fix and Fix(fix[0], tuple(Edit(Range(*place), text) for place, text in fix[1]), Applicability(fix[2])),
        tuple(Related(where, Range(*place), note) for where, place, note in related),
    )


def comment_to_plain(comment: Comment) -> tuple[Any, ...]:
    """Inverse of `comment_from_plain`."""
    codes = [(text, range_to_plain(range)) for text, range in comment.codes]
    return (
        comment.verb,
        codes,
        range_to_plain(comment.range),
        comment.first,
        comment.last,
        comment.blanket,
        comment.reason,
    )


def comment_from_plain(data: Any) -> Comment:
    """Inverse of `comment_to_plain`."""
    verb, codes, range, first, last, blanket, reason = data
    return Comment(
        verb, tuple((text, Range(*place)) for text, place in codes), Range(*range), first, last, blanket, reason
    )


def range_to_plain(range: Range) -> tuple[int, int, int, int]:
    """Line, column, end line, end column."""
    return (range.line, range.column, range.end_line, range.end_column)
