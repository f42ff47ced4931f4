"""Rung after rung until a training step is seen: run, with missing files, with a GPU pretended, capped, built.

Each attempt starts the script afresh in a throw-away copy of its project. The record that saw most is returned, with
every attempt listed.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from gradlint.tracer.cells import parts
from gradlint.tracer.run import _MARGIN, TraceOptions, attempt, interpreter
from gradlint.tracer.schema import SCHEMA_VERSION, Attempt, Strategy, TraceRecord, empty_record
from gradlint.tracer.scratch import Scratch
from gradlint.tracer.synthetic import materialise

_MAX_ATTEMPTS = 8
_AGAIN: dict[Strategy, str] = {
    "run": "with what it lacks made up",
    "files": "with missing files made up",
    "pretend-cuda": "with a GPU pretended",
    "batch-cap": "with small batches",
    "build": "to build the network without the script's loop",
}
_SMALL_BATCH = 2
_TORCHRUN = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "GROUP_RANK": "0",
    "WORLD_SIZE": "1",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}
"""What torchrun sets for the one process of one machine."""
_DEVICE_DEATH = re.compile(
    r"not compiled with CUDA|NVIDIA driver|CUDA is not available|CUDA not available|cuda\.is_available\(\)"
    r"|\bno (?:CUDA )?GPUs?\b|(?:needs?|requires?) (?:a GPU|CUDA)|GPU is required"
    r"|(?:at least|sufficient|minimum of) \d+ GPUs?",
    re.IGNORECASE,
)
_GPUS = re.compile(r"\b(\d{1,2}) (?:or more )?GPUs?\b", re.IGNORECASE)


def climb(script: Path, arguments: list[str], options: TraceOptions, tell: Callable[[str], None]) -> TraceRecord:
    """Try the rungs in turn; the best record wins. Raises TraceError when no interpreter can be started.

    `tell` hears a sentence before each further attempt.
    """
    started = time.monotonic()
    python = interpreter(script, options.python)
    ladder = _Ladder(script, arguments, options, python, tell)
    with tempfile.TemporaryDirectory(prefix="gradlint-", ignore_cleanup_errors=True) as folder:
        record = ladder.run(Path(folder))
    record["elapsed"] = time.monotonic() - started
    return record


class _Ladder:
    """The attempts of one trace."""

    def __init__(
        self, script: Path, arguments: list[str], options: TraceOptions, python: str, tell: Callable[[str], None]
    ) -> None:
        self.script = script
        self.arguments = arguments
        self.options = options
        self.python = python
        self.tell = tell
        self.attempts: list[Attempt] = []
        self.stubs: list[str] = []
        self.files: list[str] = []
        self.pretend = 0
        self.processes_here = False
        self.flat = False
        self.batch_cap: int | None = None
        self.environment: dict[str, str] = {}
        self.best: dict[str, Any] | None = None
        self.first: dict[str, Any] | None = None
        self.stopped: dict[str, Any] | None = None

    def run(self, folder: Path) -> TraceRecord:
        self.folder = folder
        strategy: Strategy | None = "run" if self.options.run else "build"
        while strategy is not None and len(self.attempts) < _MAX_ATTEMPTS:
            found = self._try(strategy)
            if found is not None and self._good(found):
                break
            strategy = self._next(strategy, found)
            if strategy is not None:
                stopped = found["error"] or {"message": "no backward call was seen"}
                self.tell(f"{_sentence(stopped)}; starting again {_AGAIN[strategy]}")
            if strategy == "build":
                self.stopped = found["error"]
        record = self._final()
        if self.options.verify and record["steps"] and record["strategy"] != "build":
            record["verification"] = self._verify(record)
        return record

    def _request(self, strategy: Strategy, scratch: Scratch) -> dict[str, Any]:
        options = self.options
        return {
            "script": str(scratch.script),
            "arguments": self.arguments,
            "cells": parts(self.script),
            "cwd": str(scratch.script.parent),
            "path": [str(scratch.root)],
            "folders": [str(scratch.root)],
            "real": {os.path.realpath(scratch.root): str(scratch.project)} if scratch.root != scratch.project else {},
            "home": None if options.in_place else str(scratch.home),
            "setup": str(options.setup.resolve()) if options.setup else None,
            "inputs": options.inputs,
            "input_shape": list(options.input_shape) if options.input_shape else None,
            "input_dtype": options.input_dtype,
            "target": options.target,
            "strategy": strategy,
            "mode": "trace",
            "verify": options.verify,
            "steps": options.steps,
            "graph_rounds": options.graph_rounds,
            "sample_limit": options.sample_limit,
            "backward_limit": options.backward_limit,
            "measure": list(options.measure),
            "awaited": list(options.awaited),
            "device": options.device,
            "pretend_cuda": self.pretend,
            "batch_cap": self.batch_cap,
            "stubs": self.stubs,
            "environment": self.environment,
            "processes_here": self.processes_here,
            "seed": options.seed,
            "threads": options.threads,
            "timeout": options.timeout,
            "margin": min(max(_MARGIN, options.timeout / 10), options.timeout / 4),
            "network": options.network,
            "address_space": None,
            "processes": None,
            "parent": os.getpid(),
        }

    def _try(self, strategy: Strategy) -> dict[str, Any]:
        scratch = Scratch(self.script, self.folder / str(len(self.attempts)), self.options)
        self.files = []
        for path, kind in self.missing.items():
            made = materialise(Path(path), kind, self.script, self.flat) if scratch.holds(Path(path)) else None
            if made:
                self.files.append(os.path.relpath(path, scratch.root))
        result = attempt(self._request(strategy, scratch), self.python, self.options)
        result["strategy"] = strategy
        result["script"] = str(self.script)
        result["scratch"] = scratch
        self._assume(result, scratch)
        error = result.get("error")
        if error is not None and scratch.root != scratch.project:
            error["message"] = error["message"].replace(f"{scratch.root}{os.sep}", "")
        if error is not None and error["kind"] == "script-exit":
            error["message"] += _last_words(result)
        outcome = error["kind"] if error else "step" if result.get("steps") else "backward"
        message = error["message"] if error else ""
        self.attempts.append(
            {"strategy": strategy, "elapsed": result["elapsed"], "outcome": outcome, "message": message}
        )
        if self.first is None:
            self.first = result
        if self.best is None or _score(result) > _score(self.best):
            self.best = result
        return result

    def _assume(self, result: dict[str, Any], scratch: Scratch) -> None:
        assumptions = result.setdefault("assumptions", [])
        assumptions += scratch.assumptions
        if result["strategy"] == "build" and self.stopped is not None:
            message = f"the script itself made no training step: {_sentence(self.stopped)}"
            assumptions.insert(0, {"kind": "built", "message": message, "affects": []})
        if self.environment:
            message = "the environment variables of torchrun were set as for one process"
            assumptions.append({"kind": "distributed", "message": message, "affects": ["values"]})
        for path in self.files:
            message = f"{path} does not exist: a synthetic one was written"
            assumptions.append({"kind": "synthetic-file", "message": message, "affects": ["data", "values"]})

    @property
    def missing(self) -> dict[str, str]:
        """Paths to materialise, written for the next attempt's copy."""
        return {
            str(self.folder / str(len(self.attempts)) / "project" / relative): kind
            for relative, kind in self._wanted.items()
        }

    @property
    def _wanted(self) -> dict[str, str]:
        return self.__dict__.setdefault("_wanted_paths", {})  # type: ignore[no-any-return]

    def _good(self, result: dict[str, Any]) -> bool:
        return bool(result.get("steps") or _backwards(result)) and (
            result.get("error") is None
            or result["error"]["kind"] not in ("timeout", "memory")
            or bool(result.get("steps"))
        )

    def _next(self, strategy: Strategy, result: dict[str, Any]) -> Strategy | None:
        """The rung that answers this failure; build is the last one."""
        error = result.get("error") or {"kind": "", "message": ""}
        kind, message = error["kind"], error["message"]
        if kind == "script-exit":
            message += "\n" + result.get("stdout", "")[-500:] + result.get("stderr", "")[-500:]
        if strategy == "build" or kind in ("no-torch", "protocol"):
            return None
        if kind == "missing-module":
            name = result.get("missing_module")
            if name and name not in self.stubs:
                self.stubs.append(name)
                return strategy
        if not self.pretend and _DEVICE_DEATH.search(message):
            wanted = _GPUS.search(message)
            self.pretend = max(1, int(wanted.group(1))) if wanted is not None else 1
            return "pretend-cuda"
        if result.get("started_processes") and not self.processes_here:
            self.processes_here = True
            return strategy
        if kind == "timeout" and self.batch_cap is None and _has_batches(result):
            self.batch_cap = _SMALL_BATCH
            return "batch-cap"
        if result.get("missing_variable") in _TORCHRUN and not self.environment:
            self.environment, self.first = _TORCHRUN, None
            return strategy
        if any(attempt["outcome"] in ("timeout", "memory") for attempt in self.attempts) and _backwards(self.best):
            return None
        if kind in ("missing-data", "script-error", "script-exit", "no-backward"):
            if self._note_missing(result):
                if not self.stubs:
                    self.first = None
                return "files"
            if not self.flat and any(_is_folder(path, kind) for path, kind in self._wanted.items()):
                self.flat = True
                return "files"
        return "build"

    def _note_missing(self, result: dict[str, Any]) -> bool:
        scratch: Scratch = result["scratch"]
        new = False
        for path, kind in result.get("missing_paths", []):
            if not scratch.holds(Path(path)):
                continue
            relative = os.path.relpath(os.path.realpath(path), os.path.realpath(scratch.root))
            if relative not in self._wanted and not self.options.in_place:
                self._wanted[relative] = kind
                new = True
        return new

    def _final(self) -> TraceRecord:
        assert self.best is not None
        chosen = self.best
        if not _score(chosen)[0] and self.first is not None and self.first.get("error"):
            # Nothing worked: what stopped the script itself says more than what stopped the last resort.
            chosen = {**chosen, "error": self.first["error"], "strategy": "none"}
            chosen["stdout"], chosen["stderr"] = self.first["stdout"], self.first["stderr"]
        record = empty_record(str(self.script), self.arguments)
        known = cast(dict[str, Any], record)
        for key in list(known):
            if key in chosen:
                known[key] = chosen[key]
        record["schema_version"] = SCHEMA_VERSION
        record["attempts"] = self.attempts
        record["seed"] = self.options.seed
        return record

    def _verify(self, record: TraceRecord) -> Any:
        """Run again with nothing but a step counter, and compare every tensor, mode, hook and generator."""
        scratch = Scratch(self.script, self.folder / "bare", self.options)
        for relative, kind in self._wanted.items():
            materialise(scratch.root / relative, kind, self.script, self.flat)
        strategy = record["strategy"]
        request = {**self._request(strategy, scratch), "mode": "bare", "awaited": [], "steps": record["steps"]}
        bare = attempt(request, self.python, self.options)
        traced = (self.best or {}).get("fingerprint") or {}
        plain = bare.get("fingerprint") or {}
        if not traced or not plain:
            return {"identical": False, "differences": ["the untraced run did not reach the same step"], "compared": 0}
        names = sorted(set(traced) | set(plain))
        differences = [name for name in names if traced.get(name) != plain.get(name)]
        return {"identical": not differences, "differences": differences[:50], "compared": len(names)}


def _last_words(result: dict[str, Any]) -> str:
    """What a script that ended by itself said last, such as an argument that is missing."""
    lines = (result.get("stderr") or result.get("stdout") or "").strip().splitlines()
    if not lines:
        return ""
    hint = " (the script's own arguments go after `--`)" if "required" in lines[-1] else ""
    return f"; its last words: {lines[-1][:200]}{hint}"


def _sentence(error: dict[str, Any]) -> str:
    """An error with the line of the user's that it came from."""
    place = error.get("place")
    where = f"{os.path.basename(place['file'])}:{place['line']}: " if place else ""
    return f"{where}{error['message']}"


def _is_folder(path: str, kind: str) -> bool:
    return kind == "directory" or not os.path.splitext(path)[1]


def _has_batches(result: dict[str, Any]) -> bool:
    """Whether smaller batches could help; a worker that sent nothing does not tell."""
    loaders = result.get("loaders")
    return loaders is None or any(loader["batch_size"] > _SMALL_BATCH for loader in loaders)


def _backwards(result: dict[str, Any] | None) -> int:
    return sum(1 for event in (result or {}).get("events", []) if event["kind"] in ("backward", "autograd_grad"))


def _score(result: dict[str, Any]) -> tuple[int, int, int]:
    """What the script's own loop showed is worth more than any number of steps of a loop that was made up."""
    own = result["strategy"] != "build"
    seen = 2 * bool(result.get("steps")) + bool(_backwards(result))
    return (seen + 3 * (own and bool(seen)), result.get("steps", 0), -len(result))
