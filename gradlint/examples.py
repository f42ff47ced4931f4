"""The examples in rule files as tests: bad ones fire exactly where they say, good ones are silent under every rule."""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gradlint.catalog import Catalog, Example
from gradlint.config import Finder, Settings
from gradlint.engine import Engine
from gradlint.fixes import applicable
from gradlint.fixing import fix
from gradlint.join import Joiner
from gradlint.report import Report, Sources
from gradlint.selection import Selector

_MARK = re.compile(r"#\s*error:\s*([A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)")

Expected = Counter[tuple[str, int, str]]
"""File, line, code -> how often."""


def failures(catalog: Catalog, name: str) -> Iterator[str]:
    """A sentence for each example of a rule that does not behave."""
    rule = catalog.rule(name)
    for example in catalog.examples(name):
        title = f"{rule.code} {rule.name}: {example.kind} example `{example.title}`"
        expected = marked(example.files)
        if example.kind == "bad" and not any(code == rule.code for _, _, code in expected):
            yield f"{title}: marks no line with `# error: {rule.code}`"
        yield from (f"{title}: {problem}" for problem in _differences(example, expected, catalog))


def marked(files: Mapping[str, str]) -> Expected:
    """Where the comments `# error: CODE` say that findings are."""
    return Counter(
        (name, number, code.strip())
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (match := _MARK.search(line))
        for code in match[1].split(",")
    )


def _differences(example: Example, expected: Expected, catalog: Catalog) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        for name, text in example.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        linted = str(folder / next(iter(example.files)))
        engine = _engine(folder, catalog, {})
        survey = engine.survey([linted])
        report = Joiner(engine, survey, Sources()).report()
        yield from survey.problems
        found = _found(report, folder)
        for name, line, code in sorted((expected - found).elements()):
            yield f"{name}:{line}: {code} expected, not found"
        for name, line, code in sorted((found - expected).elements()):
            message = next(item.message for item in report.diagnostics if item.code == code and item.range.line == line)
            yield f"{name}:{line}: {code} not expected: {message}"
        if example.fixed is not None:
            yield from _fixed_differences(example.fixed, linted, folder, catalog)


def _fixed_differences(wanted: Mapping[str, str], linted: str, folder: Path, catalog: Catalog) -> Iterator[str]:
    result = fix(
        lambda buffers: _engine(folder, catalog, buffers),
        [linted],
        lambda diagnostics, sources: applicable(diagnostics, unsafe=True),
    )
    got = result.after.get(linted, Path(linted).read_bytes()).decode("utf-8")
    name, text = next(iter(wanted.items()))
    if _unmarked(got) != _unmarked(text):
        yield f"{name}: --fix makes something else of it:\n{got}"


def _unmarked(text: str) -> str:
    return "\n".join(_MARK.sub("", line).rstrip() for line in text.splitlines())


def _engine(folder: Path, catalog: Catalog, buffers: Mapping[str, str | bytes]) -> Engine:
    everything = (Selector("ALL"),)
    folders = tuple(map(str, catalog.folders[1:]))

    def adjust(settings: Settings) -> Settings:
        return replace(settings, root=folder, select=everything, preview=True, extend_rules=folders)

    return Engine(Finder(isolated=True, adjust=adjust), buffers=buffers, catalog=catalog)


def _found(report: Report, folder: Path) -> Expected:
    return Counter(
        (os.path.relpath(os.path.abspath(item.filename), folder), item.range.line, item.code)
        for item in report.diagnostics
    )
