"""`gradlint lsp`: serve an editor over standard input and output."""

from __future__ import annotations

from gradlint.cli import Parser
from gradlint.errors import MissingExtraError


def build() -> Parser:
    """It takes no options: an editor starts it, and sends its settings afterwards."""
    return Parser(
        prog="gradlint lsp",
        description="Serve an editor by the Language Server Protocol over stdin and stdout.",
        allow_abbrev=False,
    )


def main(arguments: list[str]) -> int:
    """Serve until the editor says that it is done."""
    build().parse_args(arguments)
    try:
        from gradlint.lsp import server
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the language server needs {error.name}: pip install 'gradlint-torch[lsp]'") from None
    server.build().start_io()
    return 0
