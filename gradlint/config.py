"""[tool.gradlint] in pyproject.toml, or gradlint.toml / .gradlint.toml -> Settings.

The file nearest to a linted file wins; a pyproject.toml without `[tool.gradlint]` does not count. With
`extend = "../base.toml"` another file's values come first. Unknown keys and wrong types are errors that name the file,
the line and the nearest key.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from gradlint.errors import ConfigError
from gradlint.options import Value
from gradlint.selection import Selector, suggestion

FILE_NAMES = (".gradlint.toml", "gradlint.toml", "pyproject.toml")

TEST_FILES = ("test_*.py", "*_test.py", "conftest.py")
"""What tests are named by the customs of pytest and unittest."""


def _key(kind: str, description: str, default: Any) -> Any:
    """A setting: `kind` is bool, str, list (of strings), codes (list of selectors) or a table."""
    metadata = {"kind": kind, "description": description}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class RuleOptions:
    """One `[rules.<name>]` table and the place it was read from."""

    values: Mapping[str, Value]
    origin: str


@dataclass(frozen=True)
class Settings:
    """What one configuration file says; `root` is its folder, to which its patterns and paths are relative."""

    root: Path
    path: Path | None = None
    select: tuple[Selector, ...] | None = _key("codes", "Rules to run instead of the default set.", None)
    ignore: tuple[Selector, ...] = _key("codes", "Rules not to run.", ())
    extend_select: tuple[Selector, ...] = _key("codes", "Rules to run besides the selected ones.", ())
    extend_ignore: tuple[Selector, ...] = _key("codes", "Rules not to run, besides the ignored ones.", ())
    preview: bool = _key("bool", "Let prefixes and ALL select rules in preview too.", False)
    strict: bool = _key("bool", "Also report what holds on some path only.", False)
    exclude: tuple[str, ...] | None = _key("list", "Patterns not to look at, instead of the built-in ones.", None)
    extend_exclude: tuple[str, ...] = _key("list", "Patterns not to look at, besides the excluded ones.", ())
    respect_gitignore: bool = _key("bool", "Do not look at what git ignores.", True)
    force_exclude: bool = _key("bool", "Exclude files even if they are named on the command line.", False)
    per_file_ignores: Mapping[str, tuple[Selector, ...]] = _key("codes-table", "Pattern -> rules ignored there.", dict)
    test_files: tuple[str, ...] = _key(
        "list", "Patterns of test files: the default set judges no training there, only mistakes.", TEST_FILES
    )
    extend_rules: tuple[str, ...] = _key("list", "Folders with rules of your own.", ())
    output_format: str = _key("str", "Format of the report.", "full")
    baseline: str = _key("str", "File of accepted findings.", "")
    fix: bool = _key("bool", "Apply safe fixes.", False)
    unsafe_fixes: bool = _key("bool", "Apply fixes that may change behaviour too.", False)
    rules: Mapping[str, RuleOptions] = _key("rules", "Options of single rules: `[rules.<name>]`.", dict)
    trace: Mapping[str, Any] = _key("table", "Settings of the tracer.", dict)

    @property
    def needs_check(self) -> bool:
        """Whether it names rules, which may not exist: then the catalogue has to be asked even if no file needs it."""
        named = (self.select, self.ignore, self.extend_select, self.extend_ignore, self.per_file_ignores, self.rules)
        return any(named) or bool(self.extend_rules)


KEYS: dict[str, Field[Any]] = {item.name.replace("_", "-"): item for item in fields(Settings) if item.metadata}
"""Key as written in a file -> field of Settings."""


class Finder:
    """The settings for each folder: those of `only`, or of the nearest file; `adjust` lays the command line over them.

    `note` is told every path that was looked at. Raises ConfigError for a configuration that cannot be used.
    """

    def __init__(
        self,
        *,
        only: Path | None = None,
        isolated: bool = False,
        adjust: Callable[[Settings], Settings] = lambda settings: settings,
        note: Callable[[str], None] = lambda path: None,
    ) -> None:
        self._only = only
        self._isolated = isolated
        self._adjust = adjust
        self._note = note
        self._folders: dict[str, Settings] = {}
        self._files: dict[Path | None, Settings] = {}

    def settings(self, folder: str) -> Settings:
        """The settings that hold for files in `folder`."""
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = self._find(Path(os.path.abspath(folder)))
        return known

    def _find(self, folder: Path) -> Settings:
        path = self._only
        if path is None and not self._isolated:
            path = self._nearest(folder)
        if path not in self._files:
            if path is not None:
                settings = load(path, self._note)
            else:
                settings = Settings(Path.cwd())
            self._files[path] = self._adjust(settings)
        return self._files[path]

    def _nearest(self, folder: Path) -> Path | None:
        for place in (folder, *folder.parents):
            for name in FILE_NAMES:
                path = place / name
                self._note(str(path))
                is_file = os.path.isfile(path)
                if os.path.lexists(path) and not is_file:
                    raise ConfigError(f"{path}: is not a file that can be read")
                if is_file and (name != "pyproject.toml" or _has_table(path)):
                    return path
        return None


def load(path: Path, note: Callable[[str], None] = lambda path: None, seen: tuple[Path, ...] = ()) -> Settings:
    """Settings of one configuration file. Raises ConfigError (file:line) for anything it does not know."""
    note(str(path))
    if path in seen:
        raise ConfigError(f"{path}: `extend` leads back to itself")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte 0x{error.object[error.start]:02x} is not valid utf-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    table = _table(path, text)
    base = Settings(path.parent, path)
    if "extend" in table:
        target = _extended(path, text, table["extend"])
        base = replace(load(target, note, (*seen, path)), root=path.parent, path=path)
    own = {key: value for key, value in table.items() if key != "extend"}
    return overlaid(base, own, lambda key: where(path, text, key), path.parent)


def overlaid(base: Settings, table: Mapping[str, Any], locate: Callable[[str], str], folder: Path) -> Settings:
    """`base` with the keys of a configuration table laid over it.

    `locate` says where a key stands, for messages; paths in the table are relative to `folder`. Raises ConfigError.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in KEYS:
            raise ConfigError(f"{locate(key)}: unknown key `{key}`{suggestion(key, [*KEYS, 'extend'])}")
        values[KEYS[key].name] = _value(KEYS[key].metadata["kind"], value, key, locate)
    if "per_file_ignores" in values:
        values["per_file_ignores"] = {**base.per_file_ignores, **values["per_file_ignores"]}
    if "rules" in values:
        values["rules"] = {**base.rules, **values["rules"]}
    if "extend_rules" in values:
        values["extend_rules"] = tuple(str(folder / item) for item in values["extend_rules"])
    if values.get("baseline"):
        values["baseline"] = str(folder / values["baseline"])
    return replace(base, **values)


def where(path: Path, text: str, key: str) -> str:
    """`file:line` of a key in a TOML text."""
    for number, line in enumerate(text.splitlines(), 1):
        head = line.split("=")[0].strip().strip("[]").strip()
        if head.strip("\"'") == key or head.rsplit(".", 1)[-1].strip("\"' ") == key:
            return f"{path}:{number}"
    return str(path)


def _has_table(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return b"gradlint" in data and bool(_gradlint_table(path, data.decode("utf-8-sig", "replace")) is not None)


def _table(path: Path, text: str) -> Mapping[str, Any]:
    table = _gradlint_table(path, text) if path.name == "pyproject.toml" else _parse(path, text)
    if not isinstance(table, dict):
        raise ConfigError(f"{where(path, text, 'gradlint')}: `tool.gradlint` is not a table")
    return table


def _gradlint_table(path: Path, text: str) -> Any:
    tool = _parse(path, text).get("tool", {})
    return tool.get("gradlint") if isinstance(tool, dict) else None


def _parse(path: Path, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _extended(path: Path, text: str, value: object) -> Path:
    if not isinstance(value, str):
        raise ConfigError(f"{where(path, text, 'extend')}: `extend` is not a string")
    target = Path(os.path.normpath(path.parent / os.path.expanduser(value)))
    if not target.is_file():
        raise ConfigError(f"{where(path, text, 'extend')}: `extend` names {target}, which does not exist")
    return target


def _value(kind: str, value: object, key: str, locate: Callable[[str], str]) -> Any:
    """A checked value; `locate` gives `file:line` of a key."""
    origin = locate(key)
    if kind in ("bool", "str"):
        if not isinstance(value, bool if kind == "bool" else str):
            raise ConfigError(f"{origin}: `{key}` is not {'true or false' if kind == 'bool' else 'a string'}")
        return value
    if kind in ("list", "codes"):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{origin}: `{key}` is not a list of strings")
        return tuple(Selector(item, origin) for item in value) if kind == "codes" else tuple(value)
    if not isinstance(value, dict):
        raise ConfigError(f"{origin}: `{key}` is not a table")
    if kind == "codes-table":
        return {pattern: _value("codes", codes, pattern, locate) for pattern, codes in value.items()}
    if kind == "rules":
        return {name: _rule(name, options, locate(name)) for name, options in value.items()}
    return value


def _rule(name: str, options: object, origin: str) -> RuleOptions:
    if not isinstance(options, dict):
        raise ConfigError(f"{origin}: `rules.{name}` is not a table of options")
    return RuleOptions(options, origin)
