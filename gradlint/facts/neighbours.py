"""What the other files of a package reach by name, without interpreting them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FILES = 2000
"""Files of one package that are looked into; of a larger one nothing is known."""
_NAMES = re.compile(r"(?<![\w.])self\.(\w+)|\.\s*(\w+)|(\w+)")
"""An attribute of `self`, one of anything else, another word."""
_DEFINED = re.compile(r"^(?:\s*class|(?:async )?def)\s+(\w+)", re.MULTILINE)
"""Classes, and functions outside of them."""


@dataclass(frozen=True)
class _Names:
    """What a file mentions: attributes of other things than `self`, and everything but what it defines itself."""

    attributes: frozenset[str]
    others: frozenset[str]

    def reach(self, module: str, cls: str, name: str) -> bool:
        """Whether an attribute of a class of this module may be meant."""
        if name in self.attributes:
            return cls in self.others or module in self.others
        return {cls, name} <= self.others


class Neighbours:
    """The names in the files of packages, each package read once."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self._packages: dict[str, dict[str, _Names] | None] = {}

    def mention(self, path: str, cls: str, name: str) -> tuple[bool, list[str]]:
        """Whether another file of the package that `path` lies in may reach an attribute of a class, and the files and
        folders that this hangs on.

        Such a file writes the attribute and names the class or its module; `self` in it is a subclass if it names the
        class without defining one of that name.
        """
        folder = _package(os.path.dirname(os.path.abspath(path)))
        if folder not in self._packages:
            files = list(_files(folder))
            few = len(files) <= FILES
            self._packages[folder] = {file: self._names(file) for file in files} if few else None
        package = self._packages[folder]
        if package is None:
            return True, []
        own, module = os.path.realpath(path), _module(path)
        others = {file: names for file, names in package.items() if os.path.realpath(file) != own}
        found = next((file for file, names in others.items() if names.reach(module, cls, name)), None)
        folders = {folder, *(os.path.dirname(file) for file in others)}
        return (True, [found]) if found else (False, [*others, *folders])

    def _names(self, path: str) -> _Names:
        text = self._read(path) or ""
        found = _NAMES.findall(text)
        everything = frozenset(own or other or word for own, other, word in found)
        return _Names(frozenset(other for _, other, _ in found), everything - set(_DEFINED.findall(text)))


def _module(path: str) -> str:
    """The name that an import has for a file."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.basename(folder) if name == "__init__.py" else os.path.splitext(name)[0]


def _package(folder: str) -> str:
    """The topmost folder of the package; the folder itself where there is none."""
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        above = os.path.dirname(folder)
        if above == folder or not os.path.isfile(os.path.join(above, "__init__.py")):
            break
        folder = above
    return folder


def _files(folder: str) -> Iterator[str]:
    """Python files of a package; of a folder that is none, its own and no deeper ones."""
    packaged = os.path.isfile(os.path.join(folder, "__init__.py"))
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__"))) if packaged else []
        for name in sorted(names):
            if name.endswith(".py"):
                count += 1
                yield os.path.join(place, name)
        if count > FILES:
            return
