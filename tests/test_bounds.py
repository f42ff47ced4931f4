"""Nothing blows up: cost grows with the size of a file, and every bound is reported when it is hit.

Cost is counted in Python calls, which do not depend on the machine.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest
from conftest import Run

from gradlint import replay
from gradlint.facts import Project
from gradlint.facts.interpret import interpreter
from gradlint.facts.model import TrainingFacts
from gradlint.source import Source, from_text, read

HEAD = "import torch\nfrom torch import nn\n"
LOOP = """
def train_{i}(model, loader):
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
"""


def _read(path: str) -> Source | None:
    return read(path) if Path(path).is_file() else None


def _facts(text: str, path: str = "train.py") -> TrainingFacts:
    return Project(_read).facts(from_text(text, path))


def _calls(text: str) -> int:
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        _facts(text)
    finally:
        sys.setprofile(None)
    return count


def _branches(count: int) -> str:
    arms = "".join(
        f"        if mode == {i}:\n            loss = loss * 2\n            opt.step()\n" for i in range(count)
    )
    head = f"{HEAD}def train(model, opt, loader, mode):\n    for x in loader:\n        loss = model(x)\n"
    return f"{head}{arms}        loss.backward()\n"


def _functions(count: int) -> str:
    return HEAD + "".join(LOOP.format(i=i) for i in range(count))


@pytest.mark.parametrize("make", [_branches, _functions], ids=["branches of one function", "functions of one file"])
def test_cost_is_linear(make: object) -> None:
    small, large = _calls(make(60)), _calls(make(240))  # type: ignore[operator]
    assert large / small < 4.8


@pytest.mark.parametrize(
    "literal",
    [
        "[" + ", ".join(map(str, range(300_000))) + "]",
        "'" + "x" * 5_000_000 + "'",
        "{" + ", ".join(f"{i}: [{i}]" for i in range(90_000)) + "}",
    ],
    ids=["list", "string", "dict"],
)
def test_a_long_table_hides_nothing_after_it(literal: str) -> None:
    facts = _facts(
        f"{HEAD}DATA = {literal}\nmodel = nn.Linear(1, 1)\nopt = torch.optim.Adam(model.parameters(), lr=0.5)\n"
    )
    assert [optimizer.place.at[0] for optimizer in facts.optimizers] == [5]


def test_helpers_that_call_each_other_end() -> None:
    helpers = "".join(
        f"def f{i}(opt):\n    f{(i + 1) % 200}(opt)\n    f{(i * 7 + 3) % 200}(opt)\n    opt.step()\n\n"
        for i in range(200)
    )
    facts = _facts(f"{HEAD}{helpers}model = nn.Linear(1, 1)\nf0(torch.optim.SGD(model.parameters(), lr=0.1))\n")
    assert len(facts.optimizers) == 1


def test_files_that_import_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\nfrom b import g\n\n\ndef f(x):\n    return g(x)\n\n\nf(1)\n")
    (tmp_path / "b.py").write_text("import torch\nfrom a import f\n\n\ndef g(x):\n    return f(x)\n")
    source = read(str(tmp_path / "a.py"))
    project = Project(_read)
    project.facts(source)
    assert str(tmp_path / "b.py") in project.dependencies(source.path)


def test_deep_blocks_end() -> None:
    nested = "".join(f"{'    ' * (i + 1)}if x[{i}]:\n" for i in range(60))
    facts = _facts(f"{HEAD}def f(x, opt):\n{nested}{'    ' * 61}opt.step()\n")
    assert [run.name for run in facts.runs if run.tree] == ["f"]


def test_the_bound_on_steps_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "STEPS", (50, 0))
    facts = _facts(_functions(1) + "".join(f"x{i} = {i}\n" for i in range(100)))
    assert facts.bounded == ["train.py:56: more than 50 steps to interpret; what follows counts as unknown"]


def test_the_command_names_what_it_could_only_see_in_part(project: Path, gradlint: Run) -> None:
    helpers = "".join(f"def f{i}(x):\n    f{i + 1}(x)\n    f{i + 1}(x)\n\n\n" for i in range(16))
    (project / "train.py").write_text(f"{HEAD}{helpers}def f16(x):\n    x.step()\n\n\nf0(1)\n")
    time.sleep(2 * replay.RACY_NS / 1e9)
    runs = [gradlint("train.py"), gradlint("train.py"), gradlint("train.py", "--no-cache")]
    assert {run.returncode for run in runs} == {0}
    assert len({run.stderr for run in runs}) == 1
    note = r"gradlint: train\.py:\d+: more than \d+ steps .*; what follows counts as unknown\n"
    assert re.fullmatch(note, runs[0].stderr)
    assert gradlint("train.py", "--quiet").stderr == ""
