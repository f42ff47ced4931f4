"""Options that several commands share, and the settings they make."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradlint.config import Finder, Settings
from gradlint.errors import ConfigError
from gradlint.selection import Selector


def add_configuration(group: Any) -> None:
    """Where settings come from."""
    group.add_argument("--config", metavar="FILE", help="use this configuration file instead of the nearest ones")
    group.add_argument("--isolated", action="store_true", help="use no configuration file")


def add_selection(group: Any) -> None:
    """Which rules run."""
    group.add_argument("--select", action="append", metavar="RULES", help="codes, prefixes, names, families or ALL")
    group.add_argument("--ignore", action="append", metavar="RULES", help="do not run these")
    group.add_argument("--extend-select", action="append", metavar="RULES", help="run these too")
    group.add_argument("--extend-ignore", action="append", metavar="RULES", help="do not run these either")
    group.add_argument("--preview", action=argparse.BooleanOptionalAction, help="select rules in preview by prefix too")
    group.add_argument("--strict", action=argparse.BooleanOptionalAction, help="report what holds on some path only")


def defaults() -> argparse.Namespace:
    """The options of a command that takes none of these."""
    return argparse.Namespace(config=None, isolated=False)


def finder(options: argparse.Namespace, note: Callable[[str], None] = lambda path: None) -> Finder:
    """The settings of each folder under these options. Raises ConfigError if --config is not there."""
    only = Path(options.config).absolute() if options.config else None
    if only is not None and not only.is_file():
        raise ConfigError(f"--config: {options.config}: no such file")
    return Finder(only=only, isolated=options.isolated, adjust=lambda settings: adjusted(settings, options), note=note)


def adjusted(settings: Settings, options: argparse.Namespace) -> Settings:
    """Settings with the command line laid over them; `--select` starts the selection anew."""
    values: dict[str, Any] = {}
    chosen = _selectors(options, "select")
    if chosen is not None:
        values.update(select=chosen, ignore=(), extend_select=(), extend_ignore=())
    for name in ("ignore", "extend_select", "extend_ignore"):
        given = _selectors(options, name)
        if given is not None:
            values[name] = (*values.get(name, getattr(settings, name)), *given)
    for name in ("preview", "strict", "respect_gitignore", "force_exclude", "output_format", "fix", "unsafe_fixes"):
        given = getattr(options, name, None)
        if given is not None:
            values[name] = given
    if getattr(options, "exclude", None):
        values["exclude"] = tuple(options.exclude)
    if getattr(options, "extend_exclude", None):
        values["extend_exclude"] = (*settings.extend_exclude, *options.extend_exclude)
    if getattr(options, "baseline", None):
        values["baseline"] = str(Path(options.baseline).absolute())
    return replace(settings, **values)


def _selectors(options: argparse.Namespace, name: str) -> tuple[Selector, ...] | None:
    given: list[str] | None = getattr(options, name, None)
    if given is None:
        return None
    words = (word.strip() for text in given for word in text.split(","))
    return tuple(Selector(word, f"--{name.replace('_', '-')}") for word in words if word)
