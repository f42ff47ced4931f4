"""`gradlint version`."""

from __future__ import annotations

from gradlint import __version__


def main(arguments: list[str]) -> int:
    """Print the version."""
    print(f"gradlint {__version__}")
    return 0
