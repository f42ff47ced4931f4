"""How graph and memory grow from round to round, and which living tensors hold the graphs of earlier rounds."""

from __future__ import annotations

import gc
import os
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import torch

from .calls import sequence_number

if TYPE_CHECKING:
    from .recorder import Recorder

_MAX_LIVE_NODES = 200_000


class Growth:
    """One entry a round, at its largest backward."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.nodes: dict[int, int] = {}
        self.resident: dict[int, int] = {}
        self.saved: dict[int, int] = {}
        self._losses: list[tuple[int, set[tuple[int, int]]]] = []
        self._first = sequence_number()

    def note(self, round_: int, nodes: int, roots: set[tuple[int, int]]) -> None:
        """A backward is about to run over so many nodes, from these roots (thread and sequence number)."""
        self.nodes[round_] = max(self.nodes.get(round_, 0), nodes)
        self.resident[round_] = _resident()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            self.saved[round_] = int(torch.cuda.memory_allocated())
        self._losses.append((round_, roots))

    def live_losses(self) -> tuple[int, list[str], int]:
        """How many earlier rounds' losses living tensors still hold, which of them; how many rounds' graphs in part."""
        latest = max((round_ for round_, _ in self._losses), default=0)
        numbers = {number: round_ for round_, points in self._losses if round_ < latest for _, number in points}
        if not numbers:
            return 0, [], 0
        holding: dict[Any, list[torch.Tensor]] = {}
        for thing in gc.get_objects():
            if issubclass(type(thing), torch.Tensor) and thing.grad_fn is not None:
                holding.setdefault(thing.grad_fn, []).append(thing)
        above: dict[Any, list[Any]] = {node: [] for node in holding}
        stack = list(holding)
        while stack and len(above) < _MAX_LIVE_NODES:
            node = stack.pop()
            for child, _ in node.next_functions:
                if child is not None:
                    if child not in above:
                        above[child] = []
                        stack.append(child)
                    above[child].append(node)
        losses = [node for node in above if node._sequence_nr() in numbers]
        alive = {numbers[node._sequence_nr()] for node in losses}
        roots = sorted((number, round_) for round_, points in self._losses for _, number in points)
        partly = set()
        for node in above:
            if node._sequence_nr() < self._first:
                continue
            position = bisect_left(roots, (node._sequence_nr(), -1))
            if position < len(roots) and roots[position][1] < latest:
                partly.add(roots[position][1])
        keeping: set[Any] = set()
        stack = losses
        while stack:
            node = stack.pop()
            if node not in keeping:
                keeping.add(node)
                stack.extend(above[node])
        holders = [tensor for node, tensors in holding.items() if node in keeping for tensor in tensors]
        return len(alive), _names_of(holders, self.recorder.scopes + self.recorder._frames()), len(partly)


def _names_of(tensors: list[torch.Tensor], scopes: list[dict[str, Any]]) -> list[str]:
    """Names under which the script holds these tensors, by themselves or in a list or dictionary."""
    wanted = {id(tensor) for tensor in tensors}
    names: list[str] = []
    for scope in scopes:
        for name, value in list(scope.items()):
            items: Any = ()
            if isinstance(value, (list, dict)) and len(value) < 10000:
                items = list(value.values()) if isinstance(value, dict) else value
            if (id(value) in wanted or any(id(item) in wanted for item in items)) and name not in names:
                names.append(name)
    return names[:8]


def _resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
