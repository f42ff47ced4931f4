"""`gradlint facts`: what the model believes about a file."""

from __future__ import annotations

from gradlint.cli import Parser
from gradlint.errors import GradlintError, SourceError, UsageError
from gradlint.source import Source, read


def build() -> Parser:
    """The options of `gradlint facts`."""
    parser = Parser(prog="gradlint facts", description="Show what the model knows about a file.", allow_abbrev=False)
    parser.add_argument("files", nargs="+", metavar="FILE")
    return parser


def main(arguments: list[str]) -> int:
    """Print the facts of each file."""
    options = build().parse_args(arguments)
    from gradlint.facts import Project
    from gradlint.facts.show import render

    project = Project(_read)
    for path in options.files:
        try:
            facts = project.facts(read(path))
        except SourceError as error:
            raise GradlintError(f"{path}:{error.line}:{error.column}: {error}") from None
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        print(render(facts))
    return 0


def _read(path: str) -> Source | None:
    try:
        return read(path)
    except (OSError, SourceError):
        return None
