"""`gradlint trace`: handed to the tracer, with what the linter finds in the script."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradlint.commands._options import defaults, finder

if TYPE_CHECKING:
    from gradlint.tracer.command import Static


def build() -> argparse.ArgumentParser:
    """The options of `gradlint trace`, which are the tracer's."""
    from gradlint.tracer import command

    return command.parser()


def main(arguments: list[str]) -> int:
    """Run the tracer's own command with the settings of this folder."""
    from gradlint.tracer import command

    find = finder(defaults())

    def lint(scripts: Sequence[str]) -> Static:
        from gradlint.engine import Engine
        from gradlint.join import Joiner
        from gradlint.judging import static
        from gradlint.report import Sources

        engine = Engine(find)
        survey = engine.survey(list(scripts))
        return static(engine, survey, Joiner(engine, survey, Sources()).report())

    return command.main(arguments, find.settings("").trace, lint=lint)
