"""Run a script's text in this process under the worker's recorder and hand back its part of the record."""

from __future__ import annotations

import contextlib
import runpy
from pathlib import Path
from typing import Any

import torch

from gradlint.tracer.worker.observe import observing, record_of

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
"""


def observe(folder: Path, source: str, **settings: Any) -> dict[str, Any]:
    """The measured record of `source` run as `script.py`; raises what the script raises."""
    script = folder / "script.py"
    script.write_text(HEAD + source)
    with observing(str(folder), **settings) as recorder, _undisturbed():
        kept = runpy.run_path(str(script), run_name="__main__")
        recorder.finished = True
        recorder.scopes.append(kept)
        return record_of(recorder)


@contextlib.contextmanager
def _undisturbed() -> Any:
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


def line_of(source: str, text: str) -> int:
    """1-based line of the script that holds `text`."""
    lines = (HEAD + source).splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return found


def edges(record: dict[str, Any], round_: int = 0) -> set[tuple[str, str]]:
    inside = {node["id"] for node in record["nodes"] if node["round"] == round_}
    return {(e["source"], e["target"]) for e in record["edges"] if e["target"] in inside}


def node(record: dict[str, Any], identity: str) -> dict[str, Any]:
    (found,) = [node for node in record["nodes"] if node["id"] == identity]
    return found


def events(record: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [event for event in record["events"] if event["kind"] in kinds]


def parameter(record: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [parameter for parameter in record["parameters"] if parameter["name"] == name]
    return found


def assert_acyclic(record: dict[str, Any]) -> None:
    following: dict[str, list[str]] = {}
    degree: dict[str, int] = {}
    for edge in record["edges"]:
        following.setdefault(edge["source"], []).append(edge["target"])
        degree[edge["target"]] = degree.get(edge["target"], 0) + 1
    names = {name for edge in record["edges"] for name in (edge["source"], edge["target"])}
    ready = [name for name in names if not degree.get(name)]
    seen = 0
    while ready:
        seen += 1
        for target in following.get(ready.pop(), []):
            degree[target] -= 1
            if not degree[target]:
                ready.append(target)
    assert seen == len(names)
