"""One module a format: `render(report)` yields the text of the report. The folder is the list of formats."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator

from gradlint.errors import UsageError
from gradlint.report import Report
from gradlint.selection import suggestion

Render = Callable[[Report], Iterator[str]]


def formats() -> list[str]:
    """Names of the formats, as written after `--output-format`."""
    names = (name[:-3] for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py") and name[0] != "_")
    return sorted(name.replace("_", "-") for name in names)


def reporter(name: str) -> Render:
    """The renderer of a format. Raises UsageError with the nearest name if there is none."""
    if name not in formats():
        raise UsageError(f"unknown output format `{name}`{suggestion(name, formats())} (known: {', '.join(formats())})")
    module = importlib.import_module(f"gradlint.reporters.{name.replace('-', '_')}")
    render: Render = module.render
    return render
