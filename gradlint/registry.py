"""Joins a rule with its check by name: `missing-zero-grad` and `missing_zero_grad.py`. There is no list to edit."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gradlint.catalog import RuleSpec
from gradlint.errors import CatalogError
from gradlint.options import Options

if TYPE_CHECKING:
    from gradlint.diagnostics import Finding

Check = Callable[[Any, Options], "Iterator[Finding]"]
"""`check(facts, options)`: what each check module defines."""


class Registry:
    """The checks of the built-in package and of the user's rule folders, found by listing them."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._builtin = Path(__file__).parent / "checks"
        self._folders = tuple(folders)
        self._loaded: dict[str, Check] = {}

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Rule name -> file of its check."""
        return {
            path.stem.replace("_", "-"): path
            for folder in (self._builtin, *self._folders)
            for path in sorted(folder.glob("*.py"))
            if not path.stem.startswith("_")
        }

    def check(self, name: str) -> Check:
        """The check of a rule. Raises CatalogError if its module is missing, fails to import or has no `check`."""
        if name not in self._loaded:
            path = self.modules.get(name)
            if path is None:
                raise CatalogError(
                    f"rule `{name}` has no check: {name.replace('-', '_')}.py is missing beside its rules"
                )
            try:
                module = self._import(path)
            except Exception as error:
                raise CatalogError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
            function = getattr(module, "check", None)
            if not callable(function):
                raise CatalogError(f"{path}: defines no function `check(facts, options)`")
            self._loaded[name] = function
        return self._loaded[name]

    def orphans(self, rules: Iterable[RuleSpec]) -> list[str]:
        """A sentence for each rule without its check and each check without its rule."""
        by_name = {rule.name: rule for rule in rules}
        wanted = {rule.name for rule in by_name.values() if needs_check(rule)}
        missing = [
            f"{by_name[name].path}: has no check {name.replace('-', '_')}.py" for name in wanted - self.modules.keys()
        ]
        extra = [f"{self.modules[name]}: has no rule {name}.yaml" for name in self.modules.keys() - wanted]
        return sorted(missing + extra)

    def _import(self, path: Path) -> ModuleType:
        if path.parent == self._builtin:
            return importlib.import_module(f"gradlint.checks.{path.stem}")
        name = f"gradlint_user_rules.{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module


def needs_check(rule: RuleSpec) -> bool:
    """Whether a module under checks/ belongs to the rule: not for gradlint's own, trace-only and removed rules."""
    return rule.static and not rule.is_own and rule.status != "removed"
