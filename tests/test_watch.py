"""`--watch` and the line of progress, as somebody at a terminal meets them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")
FIRE = 'import torch\nx = "FIRE"\n'


def environment(**more: str) -> dict[str, str]:
    """Read when a test runs, not at import: the fixtures take `CI` and the like away first."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.fixture
def watcher(marked: Path) -> Iterator[subprocess.Popen[str]]:
    (marked / "a.py").write_text(FIRE)
    with subprocess.Popen(
        [sys.executable, "-m", "gradlint", "--watch", "--output-format", "concise", "-q"],
        cwd=marked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
    ) as process:  # fmt: skip
        yield process
        process.kill()


def round_of(process: subprocess.Popen[str]) -> list[str]:
    """The lines of one run."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line.startswith("gradlint: watching"):
            return lines
        lines.append(line.rstrip("\n"))
    raise AssertionError(f"it ended: {lines}")


def put(path: Path, text: str) -> None:
    """Write at once: a file that is seen half written is one change more."""
    scratch = path.with_suffix(".scratch")
    scratch.write_text(text)
    os.replace(scratch, path)


def test_each_change_is_linted(marked: Path, watcher: subprocess.Popen[str]) -> None:
    fire = "{}.py:2:6: XX001 [*] line 2 says FIRE"
    assert round_of(watcher) == [fire.format("a")]
    put(marked / "a.py", "import torch\n")
    assert round_of(watcher) == []
    put(marked / "b.py", FIRE)
    assert round_of(watcher) == [fire.format("b")]
    good = (marked / "gradlint.toml").read_text()
    put(marked / "gradlint.toml", "selct = 1\n")
    (sentence,) = round_of(watcher)
    assert sentence.endswith("gradlint.toml:1: unknown key `selct`; did you mean `select`?")
    put(marked / "gradlint.toml", good)
    assert round_of(watcher) == [fire.format("b")]
    (marked / "b.py").unlink()
    assert round_of(watcher) == []
    put(marked / "a.py", FIRE)
    assert round_of(watcher) == [fire.format("a")]
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(30) == 1, "it ends with the code of the last run"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-"], "gradlint: --watch does not go with stdin\n"),
        (["--fix"], "gradlint: --watch does not go with --fix\n"),
        (["--add-ignore"], "gradlint: --watch does not go with --add-ignore\n"),
    ],
)
def test_what_makes_no_sense_over_and_over(gradlint: Run, arguments: list[str], sentence: str) -> None:
    result = gradlint("--watch", *arguments, stdin="")
    assert (result.returncode, result.stdout, result.stderr) == (2, "", sentence)


def on_a_terminal(folder: Path, *arguments: str, **more: str) -> str:
    """What a run writes to stderr where that is a terminal."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gradlint", "--no-cache", *arguments],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=theirs, env=environment(**more),
    )  # fmt: skip
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux tells that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    text = b"".join(parts).decode()
    assert process.wait(60) == 1, text
    return text


def test_progress_of_a_long_run(marked: Path) -> None:
    slow = marked / "build"
    slow.mkdir()
    source = ROOT / "tests/fixtures/user_rules"
    (slow / "marked-line.yaml").write_text((source / "marked-line.yaml").read_text())
    check = (source / "marked_line.py").read_text()
    pause = "    import time\n\n    time.sleep(0.2)\n    path = Path(facts.path)\n"
    (slow / "marked_line.py").write_text(check.replace("    path = Path(facts.path)\n", pause, 1))
    (marked / "gradlint.toml").write_text(f'extend-rules = ["{slow.as_posix()}"]\nselect = ["XX"]\n')
    for number in range(12):
        (marked / f"a{number:02}.py").write_text(FIRE)
    text = on_a_terminal(marked)
    shown = re.findall(r"\rgradlint: (\d+) of 12 files", text)
    assert shown
    assert list(map(int, shown)) == sorted(set(map(int, shown)))
    assert re.search(r"\r *\r$", text), "the line is gone when the run ends"
    assert on_a_terminal(marked, "--quiet") == ""
    assert on_a_terminal(marked, CI="1") == ""


def test_short_runs_show_nothing(marked: Path) -> None:
    (marked / "a.py").write_text(FIRE)
    start = time.monotonic()
    text = on_a_terminal(marked)
    assert text == "" or time.monotonic() - start > 1.0
