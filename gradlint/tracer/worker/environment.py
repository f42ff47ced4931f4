"""Environment variables of a traced run; set before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping


def environment(scratch_home: str | None, more: Mapping[str, str]) -> None:
    """Environment of a run without compilation, telemetry and downloads; caches stay where the user has them.

    `more` holds variables for this attempt, which the user's own win over.
    """
    real_home = os.path.expanduser("~")
    caches = {
        "HF_HOME": os.path.join(real_home, ".cache", "huggingface"),
        "TORCH_HOME": os.path.join(real_home, ".cache", "torch"),
    }
    for name, path in caches.items():
        if name not in os.environ and os.path.isdir(path):
            os.environ[name] = path
    settings = {
        "TORCHDYNAMO_DISABLE": "1",
        "TORCH_COMPILE_DISABLE": "1",
        "WANDB_MODE": "disabled",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "TOKENIZERS_PARALLELISM": "false",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    for name, value in (settings | dict(more)).items():
        os.environ.setdefault(name, value)
    if scratch_home:
        os.environ["HOME"] = scratch_home
        os.environ["USERPROFILE"] = scratch_home
