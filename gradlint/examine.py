"""One file through the model and the checks: bytes in, findings out. Runs in this process or in a worker."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradlint import plain, suppression
from gradlint.cache import digest, digest_of
from gradlint.diagnostics import Finding, Range
from gradlint.errors import CatalogError, SourceError
from gradlint.facts import concerns
from gradlint.plan import Plan
from gradlint.registry import Registry
from gradlint.source import Source, decode, from_buffer
from gradlint.suppression import Comment


@dataclass
class Crash:
    """A mistake of gradlint's own on one file: one sentence, and the traceback for those who ask."""

    sentence: str
    traceback: str


@dataclass
class Outcome:
    """What examining one file gave.

    `findings` may lie in other local files that it imports. `comments` holds the directives of every file concerned.
    `digests` are the contents that all of it depends on. `has_loop` tells whether the file itself calls backward, so
    that its suppressions can be judged without the files that import it. `notes` name the bounds of the model that the
    file hit.
    """

    path: str
    findings: list[Finding] = field(default_factory=list)
    comments: dict[str, tuple[Comment, ...]] = field(default_factory=dict)
    digests: dict[str, str | None] = field(default_factory=dict)
    has_loop: bool = False
    notes: tuple[str, ...] = ()
    crashes: list[Crash] = field(default_factory=list)
    is_whole: bool = True
    """False if a check failed, selected or not: then the findings are not all there are."""

    def to_plain(self) -> Any:
        """For the cache; crashes are not kept."""
        comments = {path: [plain.comment_to_plain(item) for item in items] for path, items in self.comments.items()}
        return ([plain.finding_to_plain(finding) for finding in self.findings], comments, self.has_loop, self.notes)

    @classmethod
    def from_plain(cls, path: str, digests: dict[str, str | None], data: Any) -> Outcome:
        """Inverse of `to_plain`."""
        findings, comments, has_loop, notes = data
        restored = {where: tuple(map(plain.comment_from_plain, items)) for where, items in comments.items()}
        found = [plain.finding_from_plain(item) for item in findings]
        return cls(path, found, restored, digests, has_loop, tuple(notes))


class Examiner:
    """Examines files under plans. `buffers` hold what is not saved by path, in place of what is on disk."""

    def __init__(self, buffers: Mapping[str, str | bytes] | None = None) -> None:
        from gradlint.facts import Project

        self._buffers = dict(buffers or {})
        self._digests: dict[str, str | None] = {}
        self._registries: dict[tuple[Path, ...], Registry] = {}
        self._project = Project(self._read)

    def load(self, plan: Plan) -> None:
        """Import what examining under a plan takes; a check that cannot be imported is met again by `examine`."""
        from gradlint.facts import link  # noqa: F401

        for name in plan.examined:
            with suppress(CatalogError):
                self._registry(plan).check(name)

    def examine(self, path: str, plan: Plan) -> Outcome:
        """Findings of one file. Raises OSError if it cannot be read; everything else ends in the outcome."""
        outcome = Outcome(path)
        try:
            source = self._source(path)
        except SourceError as error:
            outcome.findings.append(_unreadable(error, path))
            outcome.digests = {path: self._digests.get(path)}
            return outcome
        data = source.text.encode("utf-8", "replace")
        if suppression.mentioned(data):
            outcome.comments[path] = suppression.comments(source.text)
        outcome.has_loop = "backward" in source.text
        try:
            facts = self._project.facts(source) if concerns(data) else self._project.blank(source)
        except SourceError as error:
            outcome.findings.append(_unreadable(error, path))
            outcome.comments = {}
        except Exception as error:
            outcome.crashes.append(_crash("the model", path, error))
        else:
            outcome.notes = tuple(facts.bounded)
            for name in plan.examined:
                if facts.cut_short and name in plan.of_order:
                    continue
                self._check(name, plan, facts, outcome)
        outcome.digests = self._dependencies(path)
        for finding in outcome.findings:
            self._add_comments(finding.path, outcome)
        return outcome

    def _check(self, name: str, plan: Plan, facts: Any, outcome: Outcome) -> None:
        try:
            check = self._registry(plan).check(name)
        except CatalogError as error:
            outcome.is_whole = False
            if name in plan.selected:
                outcome.crashes.append(Crash(str(error), traceback.format_exc()))
            return
        found: list[Finding] = []
        try:
            found.extend(check(facts, plan.options[name]))
        except Exception as error:
            outcome.is_whole = False
            if name in plan.selected:
                outcome.crashes.append(_crash(f"rule {name}", outcome.path, error))
        outcome.findings.extend(found)

    def _registry(self, plan: Plan) -> Registry:
        if plan.folders not in self._registries:
            self._registries[plan.folders] = Registry(plan.folders)
        return self._registries[plan.folders]

    def _add_comments(self, path: str, outcome: Outcome) -> None:
        if path == outcome.path or path in outcome.comments:
            return
        source = self._read(path)
        if source is not None and suppression.mentioned(source.text.encode("utf-8", "replace")):
            outcome.comments[path] = suppression.comments(source.text)

    def _source(self, path: str) -> Source:
        if path in self._buffers:
            self._digests[path] = None
            return from_buffer(self._buffers[path], path)
        data = Path(path).read_bytes()
        self._digests[path] = digest(data)
        return decode(data, path)

    def _read(self, path: str) -> Source | None:
        try:
            return self._source(path)
        except SourceError:
            return None
        except OSError:
            self._digests[path] = None
            return None

    def _dependencies(self, path: str) -> dict[str, str | None]:
        found = {path: self._digests.get(path)}
        for other in sorted(self._project.dependencies(path)):
            if other not in self._digests:
                self._digests[other] = digest_of(other)
            found[other] = self._digests[other]
        return found


def _unreadable(error: SourceError, path: str) -> Finding:
    place = Range(error.line, error.column, error.line, error.column + 1)
    return Finding(error.kind, path, place, {"reason": str(error)})


def _crash(what: str, path: str, error: Exception) -> Crash:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    sentence = f"internal error in {what} on {path}: {type(error).__name__}: {error}{place}"
    return Crash(sentence.replace("\n", " "), "".join(traceback.format_exception(error)))
