"""`gradlint rule`: a rule's page, or the list of all."""

from __future__ import annotations

import json
from pathlib import Path

from gradlint.catalog import Catalog, RuleSpec, plain
from gradlint.cli import Parser
from gradlint.commands._options import add_configuration, finder
from gradlint.errors import UsageError
from gradlint.page import index, page, state
from gradlint.selection import match, suggestion


def build() -> Parser:
    """The options of `gradlint rule`."""
    parser = Parser(prog="gradlint rule", description="Explain rules.", allow_abbrev=False)
    parser.add_argument("rules", nargs="*", metavar="RULE", help="code, name, prefix or family")
    parser.add_argument("--all", action="store_true", help="every rule")
    parser.add_argument("--output-format", choices=("text", "json", "markdown"), default="text", help="(default: text)")
    add_configuration(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Print pages, a list of all rules, or the index of `rules/README.md`."""
    options = build().parse_args(arguments)
    if not options.rules and not options.all:
        raise UsageError("name a rule, as in `gradlint rule GL101`, or pass --all")
    catalog = Catalog(Path(folder) for folder in finder(options).settings("").extend_rules)
    chosen = {rule.name: rule for word in options.rules for rule in _named(word, catalog)}
    rules = list(catalog.rules.values()) if options.all else list(chosen.values())
    if options.output_format == "json":
        print(json.dumps([plain(rule) for rule in rules], indent=2, ensure_ascii=False))
    elif options.all and options.output_format == "markdown":
        print(index(rules))
    elif options.all:
        width = max(len(rule.name) for rule in rules)
        print("\n".join(f"{rule.code}  {rule.name:{width}}  {state(rule):12}  {rule.summary}" for rule in rules))
    else:
        print("\n\n".join(page(rule, catalog) for rule in rules))
    return 0


def _named(word: str, catalog: Catalog) -> list[RuleSpec]:
    """The rules a word stands for; a removed one has a page too."""
    found = match(word, catalog.rules)
    if not found:
        known = [text for rule in catalog.rules.values() for text in (rule.code, rule.name, rule.family)]
        raise UsageError(f"unknown rule `{word}`{suggestion(word, known)}")
    return found
