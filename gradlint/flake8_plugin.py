"""gradlint inside flake8: its findings beside those of every other plugin, under the same `noqa` and `select`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradlint import __version__, api
from gradlint.errors import GradlintError

FAILED = "GL990"
"""The code of what the command would end with 2 for; flake8 knows nothing but findings."""


class Plugin:
    """What flake8 makes for each file; settings come from gradlint's own configuration."""

    name = "gradlint"
    version = __version__

    def __init__(self, tree: object, filename: str, lines: Sequence[str]) -> None:
        # flake8 hands a plugin the syntax tree only if its first argument is called `tree`.
        del tree
        self._filename = filename
        self._text = "".join(lines)

    def run(self) -> Iterator[tuple[int, int, str, type[Plugin]]]:
        """Line, 0-based column, text. What keeps gradlint from its work is a finding too."""
        try:
            found = api.lint_source(self._text, self._filename)
        except GradlintError as error:
            yield 1, 0, f"{FAILED} {error}", type(self)
            return
        for item in found:
            yield item.range.line, item.range.column - 1, f"{item.code} {item.message}", type(self)
