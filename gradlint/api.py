"""The library: what the command does, as three functions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gradlint.config import Finder
from gradlint.diagnostics import Diagnostic
from gradlint.engine import Engine
from gradlint.errors import GradlintError
from gradlint.join import Joiner
from gradlint.report import Sources


def lint_source(
    text: str, path: str | os.PathLike[str] = "train.py", *, config: str | os.PathLike[str] | None = None
) -> list[Diagnostic]:
    """Findings in an unsaved text.

    `path` says where it would be saved: its name tells scripts from notebooks, its folder where local modules and the
    configuration are looked for; `config` names a configuration file instead. Raises GradlintError.
    """
    name = os.fspath(path)
    return _lint([name], {name: text}, config)


def lint_paths(
    paths: Iterable[str | os.PathLike[str]], *, config: str | os.PathLike[str] | None = None
) -> list[Diagnostic]:
    """Findings in files and folders, in the order of printing. Raises GradlintError if any could not be examined."""
    return _lint([os.fspath(path) for path in paths], {}, config)


def trace(
    script: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Diagnostic]:
    """Lint a script, run it for a few steps, and give each finding that was measured its verdict.

    This runs the script's code, in a child process and a copy of its folder. `settings` are keys of the `[trace]` table
    and win over the configuration's. Raises GradlintError if the script could not be traced, MissingExtraError without
    the extra `trace`.
    """
    from gradlint.judging import judge, scripts

    path = os.fspath(script)
    scripts([path])
    engine = _engine({}, config)
    survey = engine.survey([path])
    report = Joiner(engine, survey, Sources()).report()
    chosen = {**engine.settings(path).trace, "quiet": True, **(settings or {})}
    problems = [*survey.problems, *judge(engine, survey, report, chosen, None).problems]
    if problems:
        raise GradlintError("; ".join(dict.fromkeys(problems)))
    return report.diagnostics


def _lint(
    paths: list[str], buffers: Mapping[str, str | bytes], config: str | os.PathLike[str] | None
) -> list[Diagnostic]:
    engine = _engine(buffers, config)
    files, problems = engine.discover(paths)
    survey = engine.survey(files)
    report = Joiner(engine, survey, Sources(buffers)).report()
    problems += survey.problems
    if problems:
        raise GradlintError("; ".join(problems))
    return report.diagnostics


def _engine(buffers: Mapping[str, str | bytes], config: str | os.PathLike[str] | None) -> Engine:
    only = Path(config).absolute() if config is not None else None
    return Engine(Finder(only=only), buffers=buffers)
