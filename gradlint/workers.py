"""Examining files in several processes: results in the order of the files, no stray process after Ctrl-C."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from gradlint.examine import Examiner, Outcome
from gradlint.plan import Plan

_examiner: Examiner | None = None


def examine(
    work: list[tuple[str, Plan]], jobs: int, buffers: Mapping[str, str | bytes], problems: list[str]
) -> Iterator[Outcome]:
    """Outcomes in the order of `work`; files that cannot be read, or whose worker died, become problems."""
    global _examiner
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        # Imported once, before the fork, and out of the collector's reach, so that the workers share the memory.
        _examiner = Examiner(buffers)
        _examiner.load(work[0][1])
        gc.freeze()
    executor = ProcessPoolExecutor(min(jobs, len(work)), context, _start, (dict(buffers),))
    chunk = max(1, min(16, len(work) // (jobs * 4)))
    done = 0
    try:
        for result in executor.map(_run, work, chunksize=chunk):
            done += 1
            if isinstance(result, str):
                problems.append(result)
            else:
                yield result
        executor.shutdown()
    except BrokenProcessPool:
        left = [path for path, _ in work[done:]]
        problems.append(f"a worker process died; {len(left)} files from {left[0]} on were not examined")
    except BaseException:
        _stop(executor)
        raise


def _stop(executor: ProcessPoolExecutor) -> None:
    for process in multiprocessing.active_children():
        process.terminate()
    executor.shutdown(wait=True, cancel_futures=True)


def _start(buffers: Mapping[str, str | bytes]) -> None:
    global _examiner
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _examiner = _examiner or Examiner(buffers)


def _run(item: tuple[str, Plan]) -> Outcome | str:
    assert _examiner is not None
    path, plan = item
    try:
        return _examiner.examine(path, plan)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror or error}"
