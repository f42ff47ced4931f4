"""`gradlint lsp`: handed to the language server."""

from __future__ import annotations

import importlib
from typing import Any

from gradlint.errors import MissingExtraError


def main(arguments: list[str]) -> int:
    """Serve an editor on stdin and stdout."""
    try:
        server: Any = importlib.import_module("gradlint.lsp")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the language server is not installed ({error.name} is missing)") from None
    code: int = server.main(arguments)
    return code
