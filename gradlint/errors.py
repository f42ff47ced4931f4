"""Every way gradlint can fail to do its work.

GradlintError                 exit 2, one clear sentence
├── UsageError                unknown option, code, format or path on the command line
├── ConfigError               pyproject.toml / gradlint.toml says something gradlint does not know
├── CatalogError              a rule file is wrong (file:line: key)
├── SourceError               a file cannot be read as Python or as a notebook (file:line:column)
├── MissingExtraError         torch, networkx … are needed and not installed
└── TraceError                the traced script could not be started, bounded or read back
"""

from __future__ import annotations


class GradlintError(Exception):
    """Base of all expected failures; the command prints its message and ends with `exit_code`."""

    exit_code = 2


class UsageError(GradlintError):
    """The command line asks for something that does not exist."""


class ConfigError(GradlintError):
    """A configuration file holds an unknown key, code or type."""


class CatalogError(GradlintError):
    """A rule's YAML file does not have the shape of a rule."""


class SourceError(GradlintError):
    """A file cannot be turned into Python source.

    `line` and `column` are 1-based; `kind` is the rule that reports it (`syntax-error` or `unreadable-notebook`).
    """

    def __init__(self, message: str, *, path: str, line: int = 1, column: int = 1, kind: str = "syntax-error") -> None:
        super().__init__(message)
        self.path = path
        self.line = line
        self.column = column
        self.kind = kind


class MissingExtraError(GradlintError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class TraceError(GradlintError):
    """The tracer could not start, bound or read back the traced script."""
