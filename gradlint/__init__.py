"""gradlint: a linter for PyTorch training code that proves what it says.

>>> import gradlint
>>> gradlint.lint_source("import torch", "train.py")
[]
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gradlint.api import lint_paths as lint_paths
    from gradlint.api import lint_source as lint_source
    from gradlint.api import trace as trace
    from gradlint.diagnostics import Diagnostic as Diagnostic

__version__ = "0.1.0"

__all__ = ["Diagnostic", "__version__", "lint_paths", "lint_source", "trace"]


def __getattr__(name: str) -> Any:
    """Import a part of the library when it is first asked for, so that the command starts with none of it."""
    if name in ("lint_source", "lint_paths", "trace"):
        from gradlint import api

        return getattr(api, name)
    if name == "Diagnostic":
        from gradlint.diagnostics import Diagnostic

        return Diagnostic
    raise AttributeError(f"module 'gradlint' has no attribute {name!r}")
