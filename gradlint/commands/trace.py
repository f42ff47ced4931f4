"""`gradlint trace`: handed to the tracer."""

from __future__ import annotations

from gradlint.commands._options import defaults, finder


def main(arguments: list[str]) -> int:
    """Run the tracer's own command with the settings of this folder."""
    from gradlint.tracer import command

    code: int = command.main(arguments, finder(defaults()).settings("").trace)
    return code
