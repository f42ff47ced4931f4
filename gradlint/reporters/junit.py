"""JUnit XML: a test case for each finding, and one that passes if there is none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from xml.sax.saxutils import quoteattr

from gradlint.plain_diagnostic import message
from gradlint.report import Report
from gradlint.reporters._data import where


def render(report: Report) -> Iterator[str]:
    """A suite for each file."""
    total = len(report.diagnostics)
    yield '<?xml version="1.0" encoding="utf-8"?>\n'
    yield f'<testsuites name="gradlint" tests="{max(total, 1)}" failures="{total}" errors="0">\n'
    for name, group in groupby(report.diagnostics, key=lambda item: item.filename):
        items = list(group)
        yield f'  <testsuite name={attribute(name)} tests="{len(items)}" failures="{len(items)}" errors="0">\n'
        for item in items:
            case = attribute(f"{item.code} {item.name}")
            yield f'    <testcase name={case} classname={attribute(name)} line="{item.range.line}">\n'
            text = attribute(f"{where(item)}: {message(item)}")
            yield f'      <failure type="{item.severity.value}" message={text}/>\n    </testcase>\n'
        yield "  </testsuite>\n"
    if not total:
        yield '  <testsuite name="gradlint" tests="1" failures="0" errors="0">\n'
        yield '    <testcase name="clean" classname="gradlint"/>\n  </testsuite>\n'
    yield "</testsuites>\n"


def attribute(text: str) -> str:
    """`text` as a quoted XML attribute; what XML cannot hold becomes U+FFFD."""
    allowed = (letter if letter >= " " and letter not in "\ufffe\uffff" else "\ufffd" for letter in text)
    return quoteattr("".join(allowed))
