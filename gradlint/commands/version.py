"""`gradlint version`."""

from __future__ import annotations

from gradlint import __version__
from gradlint.cli import Parser


def build() -> Parser:
    """It takes no options."""
    return Parser(prog="gradlint version", description="Print the version.", allow_abbrev=False)


def main(arguments: list[str]) -> int:
    """Print the version."""
    build().parse_args(arguments)
    print(f"gradlint {__version__}")
    return 0
