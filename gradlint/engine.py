"""Paths in, findings out: finds files, dismisses those without training code, examines what the cache does not know."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradlint.cache import Cache, digest, digest_of
from gradlint.catalog import Catalog
from gradlint.config import Finder, Settings
from gradlint.discovery import Discovery
from gradlint.examine import Examiner, Outcome
from gradlint.plan import Plan, make
from gradlint.quick import is_concern
from gradlint.registry import Registry


@dataclass
class Survey:
    """What a run looked at. `outcomes` are those with something to say; `problems` are sentences about lost work."""

    files: list[str]
    outcomes: list[Outcome] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences about files of which the model could only see a part."""
    is_stable: bool = True
    """False if a file changed while it was examined: then nothing is remembered."""


class Engine:
    """Surveys files under their settings.

    `note` is told every path that the result depends on, before it is read; `progress` how many of how many files have
    been examined; `buffers` hold what is not saved by path.
    `catalog` is used for every file, whatever folders of rules its settings name.
    """

    def __init__(
        self,
        finder: Finder,
        *,
        cache: Cache | None = None,
        buffers: Mapping[str, str | bytes] | None = None,
        jobs: int = 1,
        note: Callable[[str], None] = lambda path: None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        catalog: Catalog | None = None,
    ) -> None:
        self.finder = finder
        self.buffers = dict(buffers or {})
        self._cache = cache
        self._jobs = jobs
        self._note = note
        self._progress = progress
        self._catalog = catalog
        self._catalogs: dict[tuple[str, ...], tuple[Catalog, Registry]] = {}
        self._plans: dict[Path | None, Plan] = {}
        self._examiner: Examiner | None = None

    def settings(self, path: str) -> Settings:
        """The settings that hold for a file."""
        return self.finder.settings(os.path.dirname(path))

    def catalog(self, settings: Settings) -> Catalog:
        """The rules known under these settings: the built-in ones and those of `extend-rules`."""
        return self._rules(settings)[0]

    def plan(self, settings: Settings) -> Plan:
        """The plan of these settings. Raises ConfigError, UsageError or CatalogError for what does not exist."""
        if settings.path not in self._plans:
            self._plans[settings.path] = make(settings, *self._rules(settings))
        return self._plans[settings.path]

    def discover(self, paths: Iterable[str]) -> tuple[list[str], list[str]]:
        """The files under `paths`, and a sentence for each path that could not be looked at."""
        discovery = Discovery(self.finder.settings)
        paths = list(paths)
        buffered = [path for path in paths if path in self.buffers]
        files = discovery.files(path for path in paths if path not in self.buffers)
        for path in discovery.touched:
            self._note(path)
        return buffered + files, discovery.problems

    def survey(self, files: list[str]) -> Survey:
        """Examine every file that may hold training code."""
        survey = Survey(files)
        found: dict[str, Outcome] = {}
        misses: list[tuple[str, Plan]] = []
        for path in files:
            self._note(path)
            try:
                data = self.bytes_of(path)
            except OSError as error:
                survey.problems.append(f"{path}: cannot be read: {error.strerror or error}")
                continue
            settings = self.settings(path)
            if settings.needs_check:
                self.plan(settings)
            if not is_concern(data, path):
                continue
            plan = self.plan(settings)
            outcome = self._cached(path, data, plan)
            if outcome is None:
                misses.append((path, plan))
            else:
                self._keep(outcome, survey, found)
        for done, outcome in enumerate(self._examine(misses, survey), 1):
            self._progress(done, len(misses))
            self._remember(outcome, self.plan(self.settings(outcome.path)), survey)
            self._keep(outcome, survey, found)
        survey.outcomes = [found[path] for path in files if path in found]
        return survey

    def bytes_of(self, path: str) -> bytes:
        """What a file holds, saved or not. Raises OSError."""
        buffer = self.buffers.get(path)
        if buffer is None:
            return Path(path).read_bytes()
        return buffer.encode("utf-8", "replace") if isinstance(buffer, str) else buffer

    def _cached(self, path: str, data: bytes, plan: Plan) -> Outcome | None:
        if self._cache is None or path in self.buffers:
            return None
        row = self._cache.get(path, plan.key)
        if row is None or row[0].get(path) != digest(data):
            return None
        for other, then in row[0].items():
            if other != path:
                self._note(other)
                if digest_of(other) != then:
                    return None
        return Outcome.from_plain(path, *row)

    def _examine(self, misses: list[tuple[str, Plan]], survey: Survey) -> Iterable[Outcome]:
        if self._jobs > 1 and len(misses) > 1:
            from gradlint import workers

            yield from workers.examine(misses, self._jobs, self.buffers, survey.problems)
            return
        for path, plan in misses:
            if self._examiner is None:
                self._examiner = Examiner(self.buffers)
            try:
                yield self._examiner.examine(path, plan)
            except OSError as error:
                survey.problems.append(f"{path}: cannot be read: {error.strerror or error}")

    def _remember(self, outcome: Outcome, plan: Plan, survey: Survey) -> None:
        for path, then in outcome.digests.items():
            self._note(path)
            if path in self.buffers:
                return
            if self._cache is not None and digest_of(path) != then:
                survey.is_stable = False
                return
        if self._cache is not None and outcome.is_whole and not outcome.crashes:
            self._cache.put(outcome.path, plan.key, outcome.digests, outcome.to_plain())

    def _keep(self, outcome: Outcome, survey: Survey, found: dict[str, Outcome]) -> None:
        survey.imported.update(
            os.path.abspath(path) for path, then in outcome.digests.items() if then is not None and path != outcome.path
        )
        survey.problems.extend(crash.sentence for crash in outcome.crashes)
        survey.notes.extend(outcome.notes[:1])
        survey.tracebacks.extend(crash.traceback for crash in outcome.crashes)
        if outcome.findings or outcome.comments or outcome.crashes:
            found[outcome.path] = outcome

    def _rules(self, settings: Settings) -> tuple[Catalog, Registry]:
        key = settings.extend_rules
        if key not in self._catalogs:
            folders = [Path(folder) for folder in key]
            index = self._cache.folder / "rules.bin" if self._cache is not None else None
            catalog = self._catalog or Catalog(folders, None if folders else index)
            for path in (*folders, *(path for path in catalog.files.values() if path.parent in folders)):
                self._note(str(path))
            registry = Registry(folders)
            for path in registry.modules.values():
                if path.parent in folders:
                    self._note(str(path))
            self._catalogs[key] = catalog, registry
        return self._catalogs[key]
