"""Unsaved text in, diagnostics out: what the server asks of the linter, without a word of the protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradlint import cache as caching
from gradlint import replay
from gradlint.cache import Cache
from gradlint.catalog import Catalog
from gradlint.config import Finder, Settings, overlaid
from gradlint.diagnostics import Diagnostic
from gradlint.discovery import Discovery
from gradlint.engine import Engine
from gradlint.errors import ConfigError, GradlintError
from gradlint.join import Joiner
from gradlint.report import Sources

ORIGIN = "settings of the editor"


@dataclass
class Linted:
    """What one buffer gave: diagnostics in it alone, and a sentence for each thing that could not be done."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)
    catalog: Catalog | None = None


def lint(path: str, buffers: Mapping[str, str], editor: Mapping[str, Any]) -> Linted:
    """Lint one buffer.

    `buffers` holds every open text by absolute path, since a local module that is imported may be unsaved too. `editor`
    holds the keys of a configuration file, which win over that file's, and `config`, a file to use instead.
    """
    result = Linted(sources=Sources(buffers))
    cache = Cache(caching.default_folder(), replay.stamp())
    try:
        finder = _finder(editor)
        settings = finder.settings(os.path.dirname(path))
        if Discovery(finder.settings).is_excluded(path, settings):
            return result
        engine = Engine(finder, cache=cache, buffers=buffers)
        survey = engine.survey([path])
        report = Joiner(engine, survey, result.sources).report()
        result.catalog = engine.catalog(settings)
        result.problems = survey.problems
        result.diagnostics = [item for item in report.diagnostics if os.path.abspath(item.filename) == path]
    except GradlintError as error:
        result.problems.append(str(error))
    finally:
        cache.close()
    return result


def notebook(cells: Sequence[str]) -> str:
    """The file that code cells of an open notebook would be saved as; cell n of a diagnostic is the n-th of these."""
    code: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": text} for text in cells
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code})


def _finder(editor: Mapping[str, Any]) -> Finder:
    table = dict(editor)
    named = table.pop("config", None)
    if named is not None and not isinstance(named, str):
        raise ConfigError(f"{ORIGIN}: `config` is not a string")
    only = Path(os.path.expanduser(named)).absolute() if named else None

    def adjust(settings: Settings) -> Settings:
        return overlaid(settings, table, lambda key: ORIGIN, settings.root)

    return Finder(only=only, adjust=adjust)
