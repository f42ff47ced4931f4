"""The DataLoaders that the script built: how many samples, and what the last batch of an epoch will be."""

from __future__ import annotations

import functools
from typing import Any

import torch.utils.data

from .patches import Patches
from .places import Places, as_place


class Loaders:
    """Reports the schema's Loader entries; a data set without a length has none."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.found: list[dict[str, Any]] = []

    def install(self, patches: Patches) -> None:
        """Listen to the constructor."""
        build = torch.utils.data.DataLoader.__init__

        @functools.wraps(build)
        def init(this: Any, *args: Any, **kwargs: Any) -> None:
            build(this, *args, **kwargs)
            self._note(this)

        patches.set(torch.utils.data.DataLoader, "__init__", init)

    def _note(self, loader: Any) -> None:
        try:
            samples = len(loader.sampler)
        except (TypeError, NotImplementedError, AttributeError):
            return
        if isinstance(loader.batch_size, int):
            self.found.append(
                {
                    "constructed": as_place(self.places.construction(loader)),
                    "samples": samples,
                    "batch_size": loader.batch_size,
                    "drop_last": bool(loader.drop_last),
                }
            )
