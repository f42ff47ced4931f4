"""Which files are linted: walks folders, leaves out what is excluded or ignored by git."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from gradlint.config import Settings

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

EXCLUDED = frozenset({
    ".bzr", ".direnv", ".eggs", ".git", ".gradlint_cache", ".hg", ".hypothesis", ".ipynb_checkpoints", ".mypy_cache",
    ".nox", ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode", "__pycache__", "__pypackages__",
    "_build", "build", "dist", "node_modules", "site-packages", "venv",
})  # fmt: skip
SUFFIXES = (".py", ".ipynb")


class Discovery:
    """Finds files under paths. `settings_of(folder)` says what holds there; `touched` was looked at."""

    def __init__(self, settings_of: Callable[[str], Settings]) -> None:
        self._settings_of = settings_of
        self.touched: dict[str, None] = {}
        self.problems: list[str] = []

    def files(self, paths: Iterable[str]) -> list[str]:
        """The files to lint, each once, sorted within a folder. What is not there becomes a problem."""
        found: dict[str, None] = {}
        for path in paths:
            if os.path.isdir(path):
                start = os.path.normpath(path)
                above = self._gitignores_above(start)
                forced = self._settings_of(start).force_exclude
                if not forced and _ignored(above, os.path.abspath(start), folder=True):
                    above = []  # who names a folder that git ignores wants to know what is in it
                found.update(dict.fromkeys(self._walk("" if start == "." else start, above)))
            elif os.path.exists(path):
                path = os.path.normpath(path)
                settings = self._settings_of(os.path.dirname(path))
                if not (settings.force_exclude and self.is_excluded(path, settings)):
                    found[path] = None
            else:
                self.problems.append(f"{path}: no such file or directory")
        return list(found)

    def is_excluded(self, path: str, settings: Settings) -> bool:
        """Whether a file or one of the folders above it is excluded by settings or by git."""
        absolute = os.path.abspath(path)
        if excluded_by_patterns(absolute, settings):
            return True
        if not settings.respect_gitignore:
            return False
        specs = self._gitignores_above(os.path.dirname(absolute))
        return _ignored(specs, absolute, folder=False)

    def _walk(self, folder: str, specs: list[tuple[str, GitIgnoreSpec]]) -> Iterator[str]:
        settings = self._settings_of(folder)
        self.touched[folder or "."] = None
        try:
            entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
        except OSError as error:
            self.problems.append(f"{folder or '.'}: cannot be listed: {error.strerror}")
            return
        if settings.respect_gitignore and any(entry.name == ".gitignore" for entry in entries):
            specs = [*specs, *self._gitignore(os.path.abspath(folder or "."))]
        for entry in entries:
            path = os.path.join(folder, entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder and not entry.name.endswith(SUFFIXES):
                continue
            if is_folder and settings.exclude is None and entry.name in EXCLUDED:
                continue
            if (settings.exclude or settings.extend_exclude) and excluded_by_patterns(os.path.abspath(path), settings):
                continue
            if specs and settings.respect_gitignore and _ignored(specs, os.path.abspath(path), folder=is_folder):
                continue
            if is_folder:
                yield from self._walk(path, specs)
            elif os.path.isfile(path):  # of an entry, a link that leads to itself is an error
                yield path

    def _gitignores_above(self, folder: str) -> list[tuple[str, GitIgnoreSpec]]:
        """The .gitignore files from the repository's root down to the folder above `folder`."""
        place = os.path.dirname(os.path.abspath(folder))
        chain = []
        while True:
            chain.append(place)
            if os.path.isdir(os.path.join(place, ".git")):
                break
            parent = os.path.dirname(place)
            if parent == place:
                return []
            place = parent
        if os.path.isdir(os.path.join(os.path.abspath(folder), ".git")):
            return []
        return [spec for place in reversed(chain) for spec in self._gitignore(place)]

    def _gitignore(self, folder: str) -> list[tuple[str, GitIgnoreSpec]]:
        path = os.path.join(folder, ".gitignore")
        self.touched[path] = None
        try:
            text = Path(path).read_text("utf-8", "replace")
        except OSError:
            return []
        lines = tuple(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
        return [(folder, _spec(lines))] if lines else []


def excluded_by_patterns(absolute: str, settings: Settings) -> bool:
    """Whether `exclude` or `extend-exclude` covers a path or a folder above it, below the configuration's folder."""
    relative = os.path.relpath(absolute, settings.root)
    parts = relative.split(os.sep)
    if settings.exclude is None and any(part in EXCLUDED for part in parts[:-1]):
        return True
    patterns = (*(settings.exclude or ()), *settings.extend_exclude)
    if not patterns:
        return False
    if parts[0] == os.pardir:
        relative = os.path.basename(absolute)
    return matches(patterns, relative) or matches(patterns, relative + "/")


def is_test(path: str, settings: Settings) -> bool:
    """Whether a file is a test by `test-files`; of a file outside the configuration's folder, only the name counts."""
    relative = os.path.relpath(os.path.abspath(path), settings.root)
    if relative.split(os.sep)[0] == os.pardir:
        relative = os.path.basename(path)
    return bool(settings.test_files) and matches(settings.test_files, relative)


def matches(patterns: tuple[str, ...], relative: str) -> bool:
    """Whether a path relative to the configuration's folder is covered by any pattern, as in a .gitignore."""
    return _spec(patterns).match_file(relative.replace(os.sep, "/"))


def _ignored(specs: list[tuple[str, GitIgnoreSpec]], absolute: str, *, folder: bool) -> bool:
    """Whether git ignores a path: the deepest .gitignore that has something to say about it decides."""
    for root, spec in reversed(specs):
        relative = absolute[len(root) :].lstrip(os.sep).replace(os.sep, "/")
        verdict = spec.check_file(relative + "/" if folder else relative).include
        if verdict is not None:
            return verdict
    return False


@lru_cache(maxsize=256)
def _spec(lines: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)
