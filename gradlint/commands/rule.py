"""`gradlint rule`: a rule's page, or the list of all."""

from __future__ import annotations

import json
from pathlib import Path

from gradlint.catalog import Catalog, RuleSpec, plain
from gradlint.cli import Parser
from gradlint.commands._options import add_configuration, finder
from gradlint.errors import UsageError
from gradlint.selection import Selector, resolve


def main(arguments: list[str]) -> int:
    """Print pages as Markdown, a list of all rules, or either as JSON."""
    parser = Parser(prog="gradlint rule", description="Explain rules.", allow_abbrev=False)
    parser.add_argument("rules", nargs="*", metavar="RULE", help="code, name, prefix or family")
    parser.add_argument("--all", action="store_true", help="every rule")
    parser.add_argument("--output-format", choices=("text", "json"), default="text")
    add_configuration(parser)
    options = parser.parse_args(arguments)
    if not options.rules and not options.all:
        raise UsageError("name a rule, as in `gradlint rule GL101`, or pass --all")
    catalog = Catalog(Path(folder) for folder in finder(options).settings("").extend_rules)
    chosen = {rule.name: rule for word in options.rules for rule in resolve(Selector(word, "--rule"), catalog.rules)}
    rules = list(catalog.rules.values()) if options.all else list(chosen.values())
    if options.output_format == "json":
        print(json.dumps([plain(rule) for rule in rules], indent=2, ensure_ascii=False))
    elif options.all:
        width = max(len(rule.name) for rule in rules)
        print("\n".join(f"{rule.code}  {rule.name:{width}}  {_state(rule):12}  {rule.summary}" for rule in rules))
    else:
        print("\n\n".join(page(rule, catalog) for rule in rules))
    return 0


def _state(rule: RuleSpec) -> str:
    if rule.status != "stable":
        return rule.status
    return rule.severity if rule.default else "opt-in"


def page(rule: RuleSpec, catalog: Catalog) -> str:
    """What the rule does, why it hurts, an example, the fix, when it is fine, its options and its sources."""
    status = f"{rule.status}, {'on by default' if rule.is_default else 'opt-in'}"
    parts = [
        f"# {rule.code} {rule.name}",
        f"{rule.summary}.".replace("..", "."),
        f"{rule.family} · {rule.severity} · confidence {rule.confidence} · {status}",
        f"## Why it hurts\n\n{rule.why.strip()}",
    ]
    example = next((item for item in catalog.examples(rule.name) if item.kind == "bad"), None)
    if example is not None:
        for name, text in example.files.items():
            title = f"\n{name}:\n" if len(example.files) > 1 else ""
            parts.append(f"## Example: {example.title}\n{title}\n```python\n{text.rstrip()}\n```")
    parts.append(f"## What to write instead\n\n{rule.fix.strip()}")
    if rule.fine:
        parts.append(f"## When it is fine\n\n{rule.fine.strip()}")
    if rule.confirm:
        parts.append(f"## How the tracer confirms it\n\n{rule.confirm.strip()}")
    if rule.options:
        lines = [
            f"- `{name}` ({item.type}, default {item.default}): {item.description}"
            for name, item in rule.options.items()
        ]
        table = f"`[tool.gradlint.rules.{rule.name}]`"
        parts.append(f"## Options\n\nIn {table}:\n\n" + "\n".join(lines))
    if rule.references:
        parts.append("## References\n\n" + "\n".join(f"- {item.title}: {item.url}" for item in rule.references))
    return "\n\n".join(parts)
