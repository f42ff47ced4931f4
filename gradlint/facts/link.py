"""The project around a file: finds the local modules it imports and runs what it uses of them."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

from gradlint.errors import SourceError
from gradlint.facts.build import parse
from gradlint.facts.code import Program, Stmt
from gradlint.facts.interpret.costs import AGAIN, Key, TooManyStepsError
from gradlint.facts.interpret.frame import Frame
from gradlint.facts.interpret.interpreter import Interpreter
from gradlint.facts.interpret.roots import run_all
from gradlint.facts.merging import forget_choices
from gradlint.facts.model import TrainingFacts
from gradlint.facts.neighbours import Neighbours
from gradlint.facts.outline import Outline
from gradlint.facts.scope import Journal, Scope, Store
from gradlint.facts.values import ClassValue, Constant

MODULES = 400
"""Local modules looked into for one file; further imports count as unknown."""
KEPT = 192
"""Outlines kept between linted files, imported ones and their own."""
RECURSION = 6000
"""Python frames allowed while a file is interpreted; deeper nesting is reported as an error of the file."""
_ROOT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
_INSTALLATIONS = ("site-packages", "dist-packages")
"""Folders in which packages lie side by side that have nothing to do with each other."""


class Text(Protocol):
    """What the project needs of a source file."""

    @property
    def path(self) -> str: ...
    @property
    def text(self) -> str: ...


def _installed_beside(importer: str, base: str, package: str) -> bool:
    """Whether `package` is another one than the importer's in a folder of installed packages."""
    if os.path.basename(os.path.abspath(base)) not in _INSTALLATIONS:
        return False
    return os.path.relpath(importer, base).partition(os.sep)[0] != package


class Project:
    """Facts of files, linked with the local modules they import.

    `read` returns a file's source or None if it cannot be read; outlines are kept, so a module imported by many files
    is parsed once.
    """

    def __init__(self, read: Callable[[str], Text | None]) -> None:
        self._read = read
        self._outlines: OrderedDict[str, Outline | None] = OrderedDict()
        self._dependencies: dict[str, set[str]] = {}
        self._scopes: dict[str, Scope] = {}
        self._exists: dict[str, bool] = {}
        self._starts: dict[str, tuple[list[str], list[str]]] = {}
        self._current = ""
        self._neighbours = Neighbours(lambda path: text.text if (text := read(path)) is not None else None)
        self.classes: list[ClassValue] = []

    def facts(self, source: Text) -> TrainingFacts:
        """Facts of one file. Raises SourceError where it is not Python."""
        self._current = source.path
        self._dependencies[source.path] = set()
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, RECURSION))
        try:
            return self._interpreted(source, self._linted(source).program())
        except RecursionError:
            raise SourceError("nested too deeply to be interpreted", path=source.path) from None
        finally:
            sys.setrecursionlimit(limit)
            forget_choices()

    def _interpreted(self, source: Text, program: Program) -> TrainingFacts:
        unseen: dict[Key, str] = {}
        for again in range(AGAIN + 1):
            forget_choices()
            self._scopes, self.classes = {}, []
            names: Store = {"__name__": Constant("__main__"), "__file__": Constant(source.path, True)}
            scope = Scope(source.path, "module", names=names)
            self._scopes[os.path.realpath(source.path)] = scope
            facts = TrainingFacts(source.path)
            facts.beside = lambda cls, name: self._beside(source.path, cls, name)
            it = Interpreter(facts, self, source.text.count("\n"), unseen, again == AGAIN)
            try:
                run_all(it, program, scope)
                break
            except TooManyStepsError as error:
                unseen.update(error.callees)
        for (path, at), name in unseen.items():
            facts.bounded.append(f"{path}:{at[0]}: {name} takes too many steps; it counts as unseen in {source.path}")
        return facts

    def blank(self, source: Text) -> TrainingFacts:
        """No facts, of a file without training code. Raises SourceError where it is not Python."""
        self._dependencies[source.path] = set()
        parse(source.text, source.path)
        return TrainingFacts(source.path)

    def dependencies(self, path: str) -> frozenset[str]:
        """Files, there or not, that the facts of `path` depended on."""
        return frozenset(self._dependencies.get(path, ()))

    def _beside(self, path: str, cls: str, name: str) -> bool:
        found, files = self._neighbours.mention(path, cls, name)
        self._dependencies.setdefault(path, set()).update(files)
        return found

    # Local modules

    def scope_of(self, it: Interpreter, dotted: str, level: int, importer: str) -> Scope | None:
        """The scope of a local module, or None if no such file is near; no file imports itself by an absolute name.

        torch is known by name, so its own source is not gone into where it lies near.
        """
        if not level and dotted.partition(".")[0] == "torch":
            return None
        for path in self._candidates(dotted, level, importer):
            if (level or path != importer) and self._is_file(path):
                return self._scope(it, path)
        return None

    def submodule(self, it: Interpreter, package: Scope, name: str) -> Scope | None:
        """`package.name` as a file beside the package's `__init__.py`."""
        if os.path.basename(package.path) not in ("__init__.py", "__namespace__"):
            return None
        base = os.path.join(os.path.dirname(package.path), name)
        for path in (f"{base}.py", os.path.join(base, "__init__.py")):
            if self._is_file(path):
                return self._scope(it, path)
        return None

    def _candidates(self, dotted: str, level: int, importer: str) -> Iterable[str]:
        parts = [part for part in dotted.split(".") if part]
        folder = os.path.dirname(importer)
        if level:
            for _ in range(level - 1):
                folder = os.path.dirname(folder)
            bases = [folder]
        else:
            bases = self._roots(folder)
        for base in bases:
            if parts and not level and _installed_beside(importer, base, parts[0]):
                continue
            target = os.path.join(base, *parts)
            if parts:
                yield f"{target}.py"
            yield os.path.join(target, "__init__.py")

    def _roots(self, folder: str) -> list[str]:
        """Where an absolute import may start: the script's folder, its package's parent, the project's root and its
        src.
        """
        if folder not in self._starts:
            self._starts[folder] = self._find_roots(folder)
        roots, probed = self._starts[folder]
        self._dependencies.setdefault(self._current, set()).update(probed)
        return roots

    def _find_roots(self, folder: str) -> tuple[list[str], list[str]]:
        """The roots, and the files whose presence decided."""
        roots = [folder]
        probed: list[str] = []
        parent = folder
        for _ in range(8):
            probed.append(os.path.join(parent, "__init__.py"))
            packaged = self._is_file(probed[-1])
            above = os.path.dirname(parent)
            if not parent or above == parent:
                break
            if packaged:
                roots.append(above)
            elif any(os.path.exists(os.path.join(parent, mark)) for mark in _ROOT_MARKS):
                roots.extend((parent, os.path.join(parent, "src")))
                break
            parent = above
        return list(dict.fromkeys(roots)), probed

    def _is_file(self, path: str) -> bool:
        self._dependencies.setdefault(self._current, set()).add(path)
        found = self._exists.get(path)
        if found is None:
            found = self._exists[path] = os.path.isfile(path)
        return found

    def _scope(self, it: Interpreter, path: str) -> Scope | None:
        key = os.path.realpath(path)
        if key in self._scopes:
            return self._scopes[key]
        if len(self._scopes) >= MODULES:
            note = f"{self._current}:1: more than {MODULES} local modules; further imports count as unknown"
            if note not in it.facts.bounded:
                it.facts.bounded.append(note)
            return None
        outline = self._outline(path)
        if outline is None:
            return None
        scope = Scope(path, "module", names={"__name__": Constant("module"), "__file__": Constant(path, True)})
        self._scopes[key] = scope
        self._defer(it, scope, outline)
        return scope

    def _outline(self, path: str) -> Outline | None:
        """The outline of an imported file; the last ones used are kept."""
        if path in self._outlines:
            self._outlines.move_to_end(path)
            return self._outlines[path]
        source = self._read(path)
        try:
            found = Outline(source.text, path) if source is not None else None
        except SourceError:
            found = None
        self._keep(path, found)
        return found

    def _linted(self, source: Text) -> Outline:
        """The outline of a linted file, which others may have imported or import later."""
        found = self._outlines.get(source.path)
        if found is None or found.text != source.text:
            found = Outline(source.text, source.path)
            self._keep(source.path, found)
        return found

    def _keep(self, path: str, outline: Outline | None) -> None:
        self._outlines[path] = outline
        self._outlines.move_to_end(path)
        if len(self._outlines) > KEPT:
            self._outlines.popitem(last=False)

    def _defer(self, it: Interpreter, scope: Scope, outline: Outline) -> None:
        """Run a top-level statement of another file only when a name it binds is read."""
        done: set[int] = set()

        def run(indices: list[int]) -> None:
            for index in indices:
                if index not in done:
                    done.add(index)
                    try:
                        statements = outline.statement(index)
                    except SourceError:
                        continue
                    self._run(it, scope, statements)

        for name, indices in outline.binders.items():
            scope.lazy[name] = lambda indices=indices: run(indices)  # type: ignore[misc]
        run(outline.stars)

    def _run(self, it: Interpreter, scope: Scope, statements: list[Stmt]) -> None:
        floor, it.floor = it.floor, max(it.floor, it.fuel - it.steps // 2)
        outer = (it.statement, it.repeats, it.forwards, it.recording, it.branches, it.quiet)
        it.repeats, it.forwards, it.recording, it.branches, it.quiet = [], [], True, 0, 0
        # What the file binds stays bound, also where a branch that is undone afterwards asked for it first.
        journal, it.journal = it.journal, Journal()
        it.frames.append(Frame(scope, "<module>"))
        try:
            with it.taped():
                it.block(statements)
        finally:
            it.frames.pop()
            it.statement, it.repeats, it.forwards, it.recording, it.branches, it.quiet = outer
            it.journal = journal
            it.floor = floor
