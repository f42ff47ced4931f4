"""Several processes: the same output in the same order, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, Run


def fill(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"a{number:03}.py").write_text(f'import torch\nx{number} = "FIRE"\n')


def test_output_does_not_depend_on_jobs(marked: Path, gradlint: Run) -> None:
    fill(marked, 40)
    (marked / "a020.py").write_text("import torch\n# CRASH\n")
    one = gradlint("--no-cache", "--jobs", "1")
    many = gradlint("--no-cache", "--jobs", "3")
    assert one.returncode == many.returncode == 2
    assert (one.stdout, one.stderr) == (many.stdout, many.stderr)
    assert one.stdout.count("XX001") == 39


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interrupt_leaves_nothing(marked: Path, jobs: str) -> None:
    fill(marked, 400)
    run = subprocess.Popen(
        [sys.executable, "-m", "gradlint", "--no-cache", "--jobs", jobs],
        cwd=marked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    time.sleep(1.0)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    if run.returncode != 1:  # a fast machine may have been done already
        # Python dies by the signal if it came while a module was made by `exec`; a shell says 130 of both.
        assert run.returncode in (130, -signal.SIGINT)
        assert err == "gradlint: interrupted\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
