"""Which rules run: codes, prefixes, names, families and ALL, from the command line and from configuration."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradlint.catalog import RuleSpec
from gradlint.errors import ConfigError, UsageError


@dataclass(frozen=True)
class Selector:
    """One word of a selection and the place it was read from, `--select` or `pyproject.toml:12`."""

    text: str
    origin: str = "--select"


def match(text: str, rules: Mapping[str, RuleSpec]) -> list[RuleSpec]:
    """The rules that a word stands for; an exact code or name first, then a family, then a prefix of codes."""
    if text.upper() == "ALL":
        return list(rules.values())
    exact = [rule for rule in rules.values() if rule.code == text.upper() or rule.name == text.lower()]
    if exact:
        return exact
    family = [rule for rule in rules.values() if rule.family == text.lower()]
    if family:
        return family
    prefix = text.upper()
    if not any(letter.isdigit() for letter in prefix) and prefix not in {
        _letters(rule.code) for rule in rules.values()
    }:
        return []
    return [rule for rule in rules.values() if rule.code.startswith(prefix)]


def resolve(selector: Selector, rules: Mapping[str, RuleSpec]) -> list[RuleSpec]:
    """As `match`; UsageError or ConfigError, with the nearest word, if there is no such rule or it was removed."""
    found = match(selector.text, rules)
    problem = ""
    if not found:
        words = [word for rule in rules.values() for word in (rule.code, rule.name)] + [
            r.family for r in rules.values()
        ]
        problem = f"unknown rule `{selector.text}`" + suggestion(selector.text, words)
    elif len(found) == 1 and found[0].status == "removed":
        problem = f"rule `{selector.text}` was removed: {found[0].summary}"
    if problem:
        kind = UsageError if selector.origin.startswith("--") else ConfigError
        raise kind(f"{selector.origin}: {problem}")
    return found


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing."""
    table = {item.lower(): item for item in known}
    word = word.lower()

    def likeness(item: str) -> tuple[float, int]:
        return difflib.SequenceMatcher(None, word, item).ratio(), sum(map(str.__eq__, item, word))

    best = max(difflib.get_close_matches(word, table, len(table) or 1), key=likeness, default=None)
    return f"; did you mean `{table[best]}`?" if best else ""


def select(
    rules: Mapping[str, RuleSpec],
    *,
    chosen: Iterable[Selector] | None,
    extended: Iterable[Selector] = (),
    ignored: Iterable[Selector] = (),
    preview: bool = False,
) -> frozenset[str]:
    """Names of the rules that run.

    Without `chosen`, the default set. More exact words win over less exact ones (a code over its prefix over ALL); at
    the same exactness, ignoring wins. A preview rule needs `preview`, or to be chosen by its own code or name.
    """
    weight: dict[str, tuple[int, bool]] = {}
    if chosen is None:
        weight = {rule.name: (0, True) for rule in rules.values() if rule.is_default}
    for wanted, words in ((True, [*(chosen or ()), *extended]), (False, list(ignored))):
        for word in words:
            exactness = _exactness(word.text, rules)
            for rule in resolve(word, rules):
                if exactness >= weight.get(rule.name, (0, True))[0]:
                    weight[rule.name] = (exactness, wanted)
    return frozenset(
        name
        for name, (exactness, wanted) in weight.items()
        if wanted
        and rules[name].status != "removed"
        and (rules[name].status != "preview" or preview or exactness == _EXACT)
    )


_EXACT = 99


def _exactness(text: str, rules: Mapping[str, RuleSpec]) -> int:
    if text.upper() == "ALL":
        return 0
    if any(rule.code == text.upper() or rule.name == text.lower() for rule in rules.values()):
        return _EXACT
    if any(rule.family == text.lower() for rule in rules.values()):
        return len(_letters(next(iter(rules.values())).code)) + 1
    return len(text)


def _letters(code: str) -> str:
    return code.rstrip("0123456789")
