"""`gradlint baseline`: accept what is there now."""

from __future__ import annotations

import sys
from pathlib import Path

from gradlint import baseline
from gradlint.cli import Parser
from gradlint.commands._options import add_configuration, add_selection, finder
from gradlint.engine import Engine
from gradlint.errors import UsageError
from gradlint.join import Joiner
from gradlint.report import Sources


def build() -> Parser:
    """The options of `gradlint baseline`."""
    parser = Parser(prog="gradlint baseline", description="Accept the findings that are there now.", allow_abbrev=False)
    parser.add_argument("action", choices=("create", "update", "prune"), help="prune only drops what is gone")
    parser.add_argument("paths", nargs="*", default=["."], metavar="PATH")
    parser.add_argument("--baseline", metavar="FILE", help=f"(default: {baseline.DEFAULT} beside the configuration)")
    add_selection(parser)
    add_configuration(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Create, update or prune the baseline; 2 if files could not be examined."""
    options = build().parse_args(arguments)
    find = finder(options)
    settings = find.settings("")
    path = Path(settings.baseline or settings.root / baseline.DEFAULT)
    if options.action == "create" and path.exists():
        raise UsageError(f"{path} exists; `gradlint baseline update` replaces it")
    engine = Engine(find)
    files, problems = engine.discover(options.paths)
    survey = engine.survey(files)
    problems += survey.problems
    for problem in problems:
        print(f"gradlint: {problem}", file=sys.stderr)
    if problems:
        return 2
    present = baseline.keys(Joiner(engine, survey, Sources()).report(), path)
    if options.action == "prune":
        present = baseline.pruned(baseline.load(path), present, files, path)
    try:
        baseline.save(path, present)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    print(f"{path}: {sum(present.values())} findings accepted", file=sys.stderr)
    return 0
