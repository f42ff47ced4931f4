"""gradlint: a linter for PyTorch training code that proves what it says."""

from __future__ import annotations

__version__ = "0.1.0"
