"""What one configuration makes of the catalogue: the rules that run and what their checks are told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gradlint.cache import digest_of
from gradlint.catalog import Catalog, RuleSpec
from gradlint.config import RuleOptions, Settings
from gradlint.errors import CatalogError, ConfigError
from gradlint.options import Options, Value
from gradlint.registry import Registry, needs_check
from gradlint.selection import match, resolve, select, suggestion

ALWAYS = ("syntax-error", "unreadable-notebook")
"""Reported whatever is selected, since such a file was not examined at all; ignoring them by name silences them."""

_OF_ORDER = ("training-loop", "gradient-path", "exploding", "mode-and-data", "precision-and-frameworks")
"""Families whose rules miss something in a run: in one that was cut short, it may stand in the rest."""


@dataclass(frozen=True)
class Plan:
    """Rules by name; `checks` are those of the selected ones.

    `examined` run, in this order: also the built-in checks that are not selected, whose findings are remembered but not
    shown. They cost little beside the model, and another selection of rules finds its results in the cache. `key`
    differs between plans that may find different things. `of_order` judge what a run does and lacks, so they ask for
    one that was gone through to its end. Of the selected ones, `outside_tests` are there by default only and not meant
    for test files, which train toys on purpose.
    """

    selected: frozenset[str]
    outside_tests: frozenset[str]
    checks: tuple[str, ...]
    examined: tuple[str, ...]
    of_order: frozenset[str]
    options: Mapping[str, Options]
    folders: tuple[Path, ...]
    key: str


def make(settings: Settings, catalog: Catalog, registry: Registry) -> Plan:
    """The plan of one configuration.

    Raises ConfigError or UsageError for rules and options that do not exist, CatalogError for a selected rule without a
    check (it would pass for one that found nothing) and for any half of a rule among the user's own.
    """
    rules = catalog.rules
    for problem in registry.orphans(rules.values()):
        if problem.startswith(settings.extend_rules):
            raise CatalogError(problem)
    for selectors in settings.per_file_ignores.values():
        for selector in selectors:
            resolve(selector, rules)
    ignored = (*settings.ignore, *settings.extend_ignore)
    selected = select(
        rules, chosen=settings.select, extended=settings.extend_select, ignored=ignored, preview=settings.preview
    )
    silenced = {rule.name for word in ignored for rule in match(word.text, rules) if word.text.upper() != "ALL"}
    selected |= set(ALWAYS) - silenced
    chosen = {rule.name for word in settings.extend_select for rule in match(word.text, rules)}
    outside_tests = {name for name in selected - chosen if settings.select is None and not rules[name].tests}
    checks = tuple(rule.name for rule in rules.values() if rule.name in selected and needs_check(rule))
    for name in checks:
        if name not in registry.modules:
            raise CatalogError(f"{rules[name].path}: has no check {name.replace('-', '_')}.py, so it cannot be run")
    folders = tuple(Path(folder) for folder in settings.extend_rules)
    examined = tuple(
        rule.name
        for rule in rules.values()
        if rule.name in checks
        or (needs_check(rule) and rule.name in registry.modules and registry.modules[rule.name].parent not in folders)
    )
    of_order = frozenset(name for name in examined if rules[name].family in _OF_ORDER)
    given = _given(settings.rules, rules)
    options = {
        name: Options({**_defaults(rules[name]), **given.get(name, {})}, strict=settings.strict) for name in examined
    }
    told = repr(([(name, sorted(options[name].items())) for name in examined], settings.strict, settings.extend_rules))
    told += repr(
        [(str(path), digest_of(str(path))) for folder in settings.extend_rules for path in _files(Path(folder))]
    )
    key = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    return Plan(selected, frozenset(outside_tests), checks, examined, of_order, options, folders, key)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".py", ".yaml"))


def _defaults(rule: RuleSpec) -> dict[str, Value]:
    return {name: option.default for name, option in rule.options.items()}


def _given(tables: Mapping[str, RuleOptions], rules: Mapping[str, RuleSpec]) -> dict[str, dict[str, Value]]:
    given: dict[str, dict[str, Value]] = {}
    for word, table in tables.items():
        found = [rule for rule in rules.values() if word in (rule.name, rule.code)]
        if not found:
            near = suggestion(word, [text for rule in rules.values() for text in (rule.name, rule.code)])
            raise ConfigError(f"{table.origin}: unknown rule `{word}` in `rules`{near}")
        for key, value in table.values.items():
            option = found[0].options.get(key)
            if option is None:
                near = suggestion(key, found[0].options)
                raise ConfigError(f"{table.origin}: rule `{word}` has no option `{key}`{near}")
            if not option.accepts(value):
                raise ConfigError(f"{table.origin}: option `{key}` of rule `{word}` is not of type {option.type}")
            given.setdefault(found[0].name, {})[key] = value
    return given
