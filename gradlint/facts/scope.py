"""Where names live: scopes, and a journal that lets a branch be tried and undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from gradlint.facts.merging import merge
from gradlint.facts.record import record
from gradlint.facts.values import Constant, Value

Store = dict[str, Value]
MISSING: Any = object()


@record
class Scope:
    """A module's, class's or call's names.

    `stars` are installed packages and `star_scopes` local modules imported with `*`; `lazy` holds what binds a name
    that has not been asked for yet.
    """

    path: str
    kind: str
    parent: Scope | None = None
    names: Store = field(default_factory=dict)
    outer: dict[str, Scope] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    star_scopes: list[Scope] = field(default_factory=list)
    lazy: dict[str, Callable[[], None]] = field(default_factory=dict)

    @property
    def module(self) -> Scope:
        """The module scope this one lies in."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def holder(self, name: str) -> Scope | None:
        """The scope in which `name` is visible from here; class scopes are not seen from inside functions."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.outer:
                return scope.outer[name]
            if (name in scope.names or name in scope.lazy) and (scope.kind != "class" or scope is self):
                return scope
            scope = scope.parent
        return None

    def get(self, name: str) -> Value | None:
        """What `name` is bound to here; an import or a top-level definition of another file is run only now."""
        found = self.names.get(name)
        # `try: import x` with `except ImportError: x = None`: both arms are noted, and None gives way. An import that
        # is run can leave another to be run: a package that hands on what its modules define.
        while name in self.lazy and (found is None or (isinstance(found, Constant) and found.value is None)):
            self.lazy.pop(name)()
            found = self.names.get(name)
        if found is None:
            for scope in self.star_scopes:
                found = scope.get(name)
                if found is not None:
                    break
        return found


class Journal:
    """Every write to a scope or an object goes through here, so that arms of a branch can be run one by one."""

    def __init__(self) -> None:
        self._entries: list[tuple[Store, str, Value]] = []
        self._attempts = 0
        self._births: dict[int, tuple[Store, int]] = {}

    def born(self, store: Store) -> None:
        """An object is built now: what an arm writes into an object of its own is not taken back."""
        self._births[id(store)] = (store, self._attempts)

    def write(self, store: Store, key: str, value: Value) -> None:
        self._entries.append((store, key, store.get(key, MISSING)))
        store[key] = value

    def remove(self, store: Store, key: str) -> None:
        if key in store:
            self._entries.append((store, key, store[key]))
            del store[key]

    def attempt(
        self, action: Callable[[], str | None]
    ) -> tuple[dict[tuple[int, str], tuple[Store, Value]], str | None]:
        """Run `action`, take back what it wrote; returns the writes by place and how the action ended."""
        mark = len(self._entries)
        self._attempts += 1
        began = self._attempts
        ended = action()
        changes: dict[tuple[int, str], tuple[Store, Value]] = {}
        for store, key, old in reversed(self._entries[mark:]):
            changes.setdefault((id(store), key), (store, store.get(key, MISSING)))
            if self._births.get(id(store), (store, 0))[1] >= began:
                continue
            if old is MISSING:
                store.pop(key, None)
            else:
                store[key] = old
        del self._entries[mark:]
        return changes, ended

    def join(self, arms: list[dict[tuple[int, str], tuple[Store, Value]]]) -> None:
        """Write what the arms that go on have in common or merged."""
        places: dict[tuple[int, str], Store] = {}
        for arm in arms:
            for place, (store, _) in arm.items():
                places.setdefault(place, store)
        for (ident, key), store in places.items():
            current = store.get(key, MISSING)
            values = [arm[(ident, key)][1] if (ident, key) in arm else current for arm in arms]
            present = [value for value in values if value is not MISSING]
            if present:
                self.write(store, key, merge(present))
            else:
                self.remove(store, key)
