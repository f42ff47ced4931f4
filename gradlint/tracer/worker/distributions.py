"""The distributions that the script built: what they were given, and whether they were sampled with a gradient."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import torch
import torch.distributions

from .losses import value_range
from .patches import Patches
from .places import Places, as_place

_MOST = 64
_MAX_ROWS = 64
_GIVEN = ("Categorical", "Bernoulli")


class Distributions:
    """Reports the schema's Distribution entries: the first ones on each line."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.found: list[dict[str, Any]] = []
        self._entries: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._depth = 0

    def install(self, patches: Patches) -> None:
        """Listen to constructors that take probabilities or logits, and to sampling and log_prob of all kinds."""
        kinds = [kind for kind in vars(torch.distributions).values() if isinstance(kind, type)]
        for kind in kinds:
            if kind.__name__ in _GIVEN:
                patches.set(kind, "__init__", self._built(vars(kind)["__init__"]))
            for method in ("sample", "rsample", "log_prob"):
                if method in vars(kind) and issubclass(kind, torch.distributions.Distribution):
                    patches.set(kind, method, self._used(vars(kind)[method], method))

    def report(self) -> list[dict[str, Any]]:
        """The schema's entries."""
        return self.found

    def _built(self, original: Any) -> Any:
        @functools.wraps(original)
        def init(this: Any, probs: Any = None, logits: Any = None, *args: Any, **kwargs: Any) -> None:
            given = probs if probs is not None else logits
            entry = self._entry(this)
            if entry is not None and isinstance(given, torch.Tensor):
                entry["argument"] = "probs" if probs is not None else "logits"
                rows = given.detach().reshape(-1, given.shape[-1] if given.dim() else 1)[:_MAX_ROWS]
                entry["given"] = value_range(rows, type(this).__name__ == "Categorical")
            original(this, probs, logits, *args, **kwargs)

        return init

    def _used(self, original: Any, method: str) -> Any:
        @functools.wraps(original)
        def use(this: Any, *args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            try:
                result = original(this, *args, **kwargs)
            finally:
                self._depth -= 1
            entry = self._entry(this) if self._depth == 0 else None
            if entry is not None and method == "log_prob":
                entry["scored"] = True
            elif entry is not None and entry["sampled"] is None:
                entry["sampled"] = as_place(self.places.here())
                entry["cut"] = bool(
                    this.has_rsample and torch.is_grad_enabled() and not result.requires_grad and _carries_graph(this)
                )
            return result

        return use

    def _entry(self, distribution: Any) -> dict[str, Any] | None:
        known = self._entries.get(id(distribution))
        if known is not None and known[0]() is distribution:
            return known[1]
        if len(self.found) >= _MOST:
            return None
        entry: dict[str, Any] = {
            "class_name": type(distribution).__name__,
            "constructed": as_place(self.places.here()),
            "argument": None,
            "given": None,
            "sampled": None,
            "cut": False,
            "scored": False,
        }
        # The distribution itself would keep its graph alive.
        self._entries[id(distribution)] = (weakref.ref(distribution), entry)
        self.found.append(entry)
        return entry


def _carries_graph(distribution: Any) -> bool:
    """Whether a parameter of the distribution was computed by the network."""
    values = list(vars(distribution).values())
    return any(isinstance(value, torch.Tensor) and value.requires_grad for value in values) or any(
        isinstance(value, torch.distributions.Distribution) and _carries_graph(value) for value in values
    )
