"""Tests of the worker need torch; without it they are not collected, and the rest of the suite runs."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_worker*.py"]
