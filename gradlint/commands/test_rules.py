"""`gradlint test-rules`: the examples of a folder of rules, run as tests."""

from __future__ import annotations

import sys
from pathlib import Path

from gradlint.catalog import Catalog
from gradlint.cli import Parser
from gradlint.errors import CatalogError
from gradlint.examples import failures
from gradlint.registry import Registry


def build() -> Parser:
    """The options of `gradlint test-rules`."""
    parser = Parser(
        prog="gradlint test-rules",
        description="Run the examples in a folder of rules: bad ones must fire where marked, good ones must be silent.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="FOLDER", help="rules (*.yaml) with their checks (*.py)")
    return parser


def main(arguments: list[str]) -> int:
    """Print each failure; 0 if there is none, 1 otherwise."""
    options = build().parse_args(arguments)
    folder = Path(options.folder).resolve()
    catalog = Catalog([folder])
    names = [name for name, path in catalog.files.items() if path.parent == folder]
    if not names:
        raise CatalogError(f"{options.folder}: holds no rules (*.yaml)")
    orphans = [text for text in Registry([folder]).orphans(catalog.rules.values()) if text.startswith(str(folder))]
    problems = orphans or [text for name in names for text in failures(catalog, name)]
    for problem in problems:
        print(problem)
    count = sum(len(catalog.examples(name)) for name in names)
    print(f"{len(names)} rules, {count} examples, {len(problems)} failures", file=sys.stderr)
    return 1 if problems else 0
