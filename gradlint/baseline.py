"""Findings accepted as they are: a file that says how many of each kind a line of text may have.

A finding is known by file, code and the text of its line, so it is still known after lines above it came or went.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gradlint.diagnostics import Diagnostic
from gradlint.errors import ConfigError
from gradlint.report import Report, Suppressed

VERSION = 1
DEFAULT = "gradlint-baseline.json"

Key = tuple[str, str, str]
"""File relative to the baseline's folder, code, text of the line."""


def load(path: Path) -> Counter[Key]:
    """The accepted findings. Raises ConfigError if the file is not there or not a baseline."""
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["version"] != VERSION:
            raise ConfigError(f"{path}: version {data['version']} of the baseline is not known to this gradlint")
        return Counter({(item["file"], item["code"], item["line"]): int(item["count"]) for item in data["findings"]})
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such baseline; `gradlint baseline create` makes one") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: is not a baseline that `gradlint baseline` wrote") from None


def save(path: Path, accepted: Counter[Key]) -> None:
    """Write the accepted findings, sorted, so that a change of one is a change of few lines. Raises OSError."""
    findings = [
        {"file": file, "code": code, "line": line, "count": count}
        for (file, code, line), count in sorted(accepted.items())
    ]
    path.write_text(
        json.dumps({"version": VERSION, "findings": findings}, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )


def keys(report: Report, path: Path) -> Counter[Key]:
    """What the report holds, in terms of the baseline at `path`."""
    return Counter(_key(item, report, path) for item in report.diagnostics)


def accept(report: Report, path: Path) -> None:
    """Take what the baseline accepts out of the report's diagnostics. Raises ConfigError as `load`."""
    accepted = load(path)
    left: list[Diagnostic] = []
    for item in report.diagnostics:
        key = _key(item, report, path)
        if accepted[key] > 0:
            accepted[key] -= 1
            report.suppressed.append(Suppressed(item, "external", f"accepted by {path.name}"))
        else:
            left.append(item)
    report.diagnostics = left


def pruned(accepted: Counter[Key], present: Counter[Key], files: Iterable[str], path: Path) -> Counter[Key]:
    """What is accepted and still there; entries of files that were not looked at but exist stay."""
    seen = {_relative(file, path) for file in files}
    return Counter(
        {
            key: min(count, present[key]) if key[0] in seen else count
            for key, count in accepted.items()
            if (present[key] if key[0] in seen else (path.parent / key[0]).exists())
        }
    )


def _key(item: Diagnostic, report: Report, path: Path) -> Key:
    text = report.sources.line(item.filename, item.cell, item.range.line) or ""
    return _relative(item.filename, path), item.code, " ".join(text.split())


def _relative(file: str, path: Path) -> str:
    return os.path.relpath(os.path.abspath(file), path.parent).replace(os.sep, "/")
