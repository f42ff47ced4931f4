"""Traces of fixture scripts, each made once for a test run; everything here is skipped where torch is missing."""

from __future__ import annotations

import atexit
import importlib.util
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import zygote

for name in ("torch", "networkx", "psutil"):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"tracing needs {name}", allow_module_level=True)

from direct import trace_here  # noqa: E402

from gradlint.tracer.run import TraceOptions  # noqa: E402
from gradlint.tracer.run import trace as run_trace  # noqa: E402
from gradlint.tracer.schema import TraceRecord  # noqa: E402

FIXTURES = Path(__file__).parent.parent / "fixtures" / "traces"


@cache
def trace(script: str | Path, **options: Any) -> TraceRecord:
    """The record of one script of tests/fixtures/traces, or of an absolute path, traced in this process."""
    return trace_here(FIXTURES / script, **options)


def trace_in_child(script: str | Path, **options: Any) -> TraceRecord:
    """The same in a child, as a user gets it; `options` are those of a trace."""
    path = FIXTURES / script
    settings = {"timeout": 100.0, "threads": 1, "project": path.parent, "python": python(), **options}
    return run_trace(path, (), TraceOptions(**settings))


@cache
def python() -> str:
    """One interpreter for all traces, which has imported torch already."""
    folder = tempfile.TemporaryDirectory(prefix="gradlint-tests-")
    atexit.register(folder.cleanup)
    atexit.register(zygote.close)
    return zygote.interpreter(Path(folder.name))
