"""Rules for people, in Markdown: a page each, and an index of all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from gradlint.catalog import Catalog, RuleSpec

_HEAD = """\
# Rules

Each rule is explained in its file, with examples that are its tests; `gradlint rule CODE` prints it as a page.
For a rule in the default set the table says how severe its findings are. `opt-in` rules run when they are selected,
rules in `preview` when they are selected by code or name, or with `--preview`. A rule is served by the linter (static),
by the tracer (trace), or by both: then the tracer confirms or refutes what the linter says.

This file is made by `gradlint rule --all --output-format markdown`.
"""


def page(rule: RuleSpec, catalog: Catalog) -> str:
    """What the rule does, why it hurts, an example, the fix, when it is fine, its options and its sources."""
    status = f"{rule.status}, {'on by default' if rule.is_default else 'opt-in'}"
    if rule.is_default and not rule.tests:
        status += " outside tests"
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


def index(rules: Iterable[RuleSpec]) -> str:
    """A table for each family; the links lead to the rule files beside it."""
    lines = [_HEAD]
    for family, members in groupby(rules, key=lambda rule: rule.family):
        head = ("| code | name | what it finds | level | served by |", "| --- | --- | --- | --- | --- |")
        lines += [f"## {family}", "", *head, *map(_row, members), ""]
    return "\n".join(lines[:-1])


def state(rule: RuleSpec) -> str:
    """The severity of a rule in the default set, and otherwise why it is not."""
    if rule.status != "stable":
        return rule.status
    return rule.severity if rule.default else "opt-in"


def _row(rule: RuleSpec) -> str:
    wings = [wing for wing, serves in (("static", rule.static), ("trace", rule.trace)) if serves]
    summary = rule.summary.replace("|", "\\|")
    return f"| {rule.code} | [{rule.name}]({rule.name}.yaml) | {summary} | {state(rule)} | {', '.join(wings)} |"
