"""Findings meet rules, suppressions and per-file ignores: outcomes become the diagnostics of a report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from gradlint.catalog import Catalog, RuleSpec
from gradlint.config import Settings
from gradlint.diagnostics import Diagnostic, Finding
from gradlint.discovery import excluded_by_patterns, is_test, matches
from gradlint.engine import Engine, Survey
from gradlint.examine import Outcome
from gradlint.plan import ALWAYS
from gradlint.report import Report, Sources, Suppressed, diagnostic, shown
from gradlint.selection import match
from gradlint.suppression import Comment, Suppressions
from gradlint.suppression_findings import unknown_finding, unused_finding


class Joiner:
    """Builds the report of one survey."""

    def __init__(self, engine: Engine, survey: Survey, sources: Sources) -> None:
        self._engine = engine
        self._survey = survey
        self._sources = sources
        self._rules: dict[str, RuleSpec] = {}
        self._ignored: dict[str, frozenset[str]] = {}
        self._diagnostics: list[Diagnostic] = []
        self._suppressed: list[Suppressed] = []
        comments: dict[str, tuple[Comment, ...]] = {}
        for outcome in survey.outcomes:
            comments.update(outcome.comments)
        self._suppressions = {path: Suppressions(items) for path, items in comments.items()}

    def report(self) -> Report:
        """Diagnostics in the order of printing."""
        seen: set[object] = set()
        for outcome in self._survey.outcomes:
            for finding in outcome.findings:
                key = (finding.rule, os.path.abspath(finding.path), finding.range)
                if key not in seen and self._is_wanted(finding, outcome):
                    seen.add(key)
                    self._add(finding)
        for outcome in self._survey.outcomes:
            for finding in self._about_comments(outcome):
                self._add(finding)
        self._diagnostics.sort(key=lambda item: item.sort_key)
        return Report(self._diagnostics, self._rules, self._sources, self._suppressed, files=len(self._survey.files))

    def accepts(self, finding: Finding) -> bool:
        """Whether a finding from elsewhere passes the settings and the suppressions of its file."""
        settings = self._engine.settings(finding.path)
        if excluded_by_patterns(os.path.abspath(finding.path), settings):
            return False
        rule = self._engine.catalog(settings).rules.get(finding.rule)
        if rule is None or rule.name not in self._engine.plan(settings).selected:
            return False
        if self._is_ignored(rule.name, finding.path, settings):
            return False
        place = os.path.realpath(finding.path)
        return not any(
            suppressions.match(rule.code, rule.name, finding.range.line)
            for path, suppressions in self._suppressions.items()
            if os.path.realpath(path) == place
        )

    def _is_wanted(self, finding: Finding, outcome: Outcome) -> bool:
        """A finding in an imported file has to pass that file's own settings."""
        settings = self._engine.settings(finding.path)
        if finding.path != outcome.path and excluded_by_patterns(os.path.abspath(finding.path), settings):
            return False
        return finding.rule in self._engine.plan(settings).selected

    def _add(self, finding: Finding) -> None:
        settings = self._engine.settings(finding.path)
        rule = self._rule(finding.rule, settings)
        if self._is_ignored(rule.name, finding.path, settings):
            return
        try:
            item = diagnostic(finding, rule, self._sources)
        except (KeyError, IndexError, ValueError) as error:
            place = f"{shown(finding.path)}:{finding.range.line}"
            problem = f"internal error in rule {rule.name} on {place}: its message lacks the value {error}"
            self._survey.problems.append(problem)
            return
        suppressions = self._suppressions.get(finding.path)
        if suppressions and rule.name not in ALWAYS:
            comment = suppressions.match(rule.code, rule.name, finding.range.line)
            if comment is not None:
                self._suppressed.append(Suppressed(item, "inSource", comment.reason))
                return
        self._diagnostics.append(item)

    def _about_comments(self, outcome: Outcome) -> Iterator[Finding]:
        suppressions = self._suppressions.get(outcome.path)
        source = self._sources.get(outcome.path)
        if suppressions is None or source is None or outcome.crashes:
            return
        settings = self._engine.settings(outcome.path)
        plan = self._engine.plan(settings)
        names = _names(self._engine.catalog(settings))
        if "unknown-code-in-suppression" in plan.selected:
            for comment, code, range in suppressions.unknown(names):
                yield unknown_finding(source, comment, code, range, names)
        is_whole = outcome.has_loop or os.path.abspath(outcome.path) in self._survey.imported
        if is_whole and "unused-suppression" in plan.selected:
            ran = frozenset(name for name in plan.checks if not self._is_for_others(name, outcome.path, settings))
            for comment, codes in suppressions.unused(ran, names):
                yield unused_finding(source, comment, codes)

    def _is_ignored(self, rule: str, path: str, settings: Settings) -> bool:
        return rule in self._ignored_in(path, settings) or self._is_for_others(rule, path, settings)

    def _is_for_others(self, rule: str, path: str, settings: Settings) -> bool:
        """Whether the file is a test and the default set leaves the rule out there."""
        return rule in self._engine.plan(settings).outside_tests and is_test(path, settings)

    def _ignored_in(self, path: str, settings: Settings) -> frozenset[str]:
        """Names of the rules that `per-file-ignores` silences in a file."""
        if not settings.per_file_ignores:
            return frozenset()
        if path not in self._ignored:
            relative = os.path.relpath(os.path.abspath(path), settings.root)
            rules = self._engine.catalog(settings).rules
            self._ignored[path] = frozenset(
                rule.name
                for pattern, selectors in settings.per_file_ignores.items()
                if matches((pattern,), relative)
                for selector in selectors
                for rule in match(selector.text, rules)
            )
        return self._ignored[path]

    def _rule(self, name: str, settings: Settings) -> RuleSpec:
        if name not in self._rules:
            self._rules[name] = self._engine.catalog(settings).rule(name)
        return self._rules[name]


def _names(catalog: Catalog) -> dict[str, str]:
    """Code or name in lower case -> name of the rule."""
    rules: Iterable[RuleSpec] = catalog.rules.values()
    return {word.lower(): rule.name for rule in rules for word in (rule.code, rule.name)}
