"""A rule as a page for people, in Markdown."""

from __future__ import annotations

from gradlint.catalog import Catalog, RuleSpec


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
