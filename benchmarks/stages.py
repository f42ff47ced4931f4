"""Where the time of a cold run goes: `python benchmarks/stages.py PATH ...`.

The call stack is sampled by the processor's clock while `gradlint check` runs in this process; each sample counts for
the stage it is in and for the function on top.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
from collections import Counter
from types import FrameType

from gradlint.__main__ import main as gradlint

INTERVAL = 0.001
"""Seconds of processor time between samples; the kernel's clock may be coarser."""
STAGES = (
    ("imports", ("<frozen importlib", "importlib/__init__.py")),
    ("checks", ("gradlint/checks/",)),
    ("ast", ("/ast.py",)),
    ("lowering", ("gradlint/facts/build.py",)),
    ("interpretation", ("gradlint/facts/interpret/",)),
    ("files, settings, output", ("",)),
)
"""Stages and what stands in the name of a file of theirs; a sample is of the first stage that its stack shows."""


class Sampler:
    """Counts samples by stage and by the function on top."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.tops: Counter[str] = Counter()

    def take(self, _signal: int, frame: FrameType | None) -> None:
        """One sample, as a signal handler."""
        files: list[str] = []
        if frame is not None:
            self.tops[f"{os.path.basename(frame.f_code.co_filename)} {frame.f_code.co_name}"] += 1
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        self.stages[next(name for name, marks in STAGES if any(m in file for m in marks for file in files))] += 1


def main() -> None:
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.take)
    before = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    with contextlib.redirect_stdout(io.StringIO()):
        gradlint(["check", "--isolated", "--no-cache", "--jobs", "1", "--quiet", *sys.argv[1:]])
    signal.setitimer(signal.ITIMER_PROF, 0)
    total = sampler.stages.total()
    print(f"{time.process_time() - before:.2f} s of CPU, {total} samples\n\n| stage | share |\n| --- | ---: |")
    for name, _ in STAGES:
        print(f"| {name} | {100 * sampler.stages[name] / total:.0f} % |")
    print("\n| function, by itself | share |\n| --- | ---: |")
    for name, count in sampler.tops.most_common(10):
        print(f"| `{name}` | {100 * count / total:.1f} % |")


if __name__ == "__main__":
    main()
