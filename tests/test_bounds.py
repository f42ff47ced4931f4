"""Nothing blows up: cost grows with the size of a file, and every bound is reported when it is hit.

Cost is counted in Python calls, which do not depend on the machine.
"""

from __future__ import annotations

import ast
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Run

from gradlint import replay
from gradlint.facts import Project, outline
from gradlint.facts.code import Stmt
from gradlint.facts.events import OptimizerStep, walk
from gradlint.facts.interpret import interpreter, looping
from gradlint.facts.model import TrainingFacts
from gradlint.facts.positions import Lines
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


AFTER = "model = nn.Linear(1, 1)\nopt = torch.optim.Adam(model.parameters(), lr=0.5)\n"
LONG = {
    "ladder": "if x == 0:\n    y = 0\n" + "".join(f"elif x == {i}:\n    y = {i}\n" for i in range(1, 1_000)),
    "sum": "y = " + " + ".join(["x"] * 5_000) + "\n",
    "test": "y = " + " and ".join(["x"] * 5_000) + "\n",
    "calls": "y = x" + ".f(1)" * 3_000 + "\n",
    "attributes": "y = x" + ".f" * 3_000 + "\n",
    "parentheses": "y = " + "(" * 150 + "x" + ")" * 150 + "\n",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_statements_hide_nothing_after_them(text: str) -> None:
    facts = _facts(f"{HEAD}x = input()\n{text}{AFTER}")
    assert [optimizer.kind for optimizer in facts.optimizers] == ["torch.optim.Adam"]


def test_checks_go_through_long_statements(project: Path, gradlint: Run) -> None:
    for name, text in LONG.items():
        loop = "for b in [torch.randn(8, 1)] * 100:\n    model(b).sum().backward()\n    opt.step()\n"
        (project / f"{name}.py").write_text(f"{HEAD}x = input()\n{text}{AFTER}{loop}")
    result = gradlint("--output-format", "concise")
    assert result.stderr == ""
    assert result.stdout.count("GL101") == len(LONG)


def test_every_arm_of_a_long_ladder_is_gone_through() -> None:
    arms = "".join(f"    {'el' if i else ''}if mode == {i}:\n        opt.step()\n" for i in range(1_000))
    facts = _facts(f"{HEAD}def train(mode, opt):\n{arms}")
    steps = [event for run in facts.runs for event in walk(run.tree) if isinstance(event, OptimizerStep)]
    assert [step.place.at[0] for step in steps] == list(range(5, 5 + 2_000, 2))


def test_of_a_long_file_only_what_trains_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered: list[int] = []
    original = outline.lower

    def lower(run: Sequence[ast.stmt], lines: Lines, path: str) -> list[list[Stmt]]:
        lowered.extend((node.end_lineno or 0) - node.lineno + 1 for node in run)
        return original(run, lines, path)

    monkeypatch.setattr(outline, "lower", lower)
    plain = "".join(f"def get_{i}(x):\n    if x:\n        return {i}\n    return x\n\n\n" for i in range(8_000))
    loops = _functions(20)
    facts = _facts(plain + loops + plain[: plain.index("def get_500(")])
    assert len(facts.optimizers) == 20
    assert sum(lowered) <= loops.count("\n") + 20


def test_a_function_of_many_branches_ends_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "STEPS", (500, 0))
    # An arm takes three steps: the test, the statement in it, and its call.
    arms = "".join(f"    if mode == {i}: opt.step()\n" for i in range(10_000))
    facts = _facts(f"{HEAD}def f(opt, mode):\n{arms}{AFTER}")
    assert [note.partition(" for ")[0] for note in facts.bounded] == [
        "train.py:170: more than 500 steps to interpret; what follows counts as unknown"
    ]
    assert len(facts.optimizers) == 1


def test_the_rest_of_a_costly_loop_is_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair is a run of its own while that is cheap; a grid of settings costs no more than a few of them."""
    text = f"{HEAD}def fit(model, data, b):\n"
    text += "    opt = torch.optim.SGD(model.parameters(), lr=0.1)\n    for x in data:\n        opt.step()\n"
    text += f"for a in {list(range(10))}:\n    for b in {list(range(10))}:\n        fit(nn.Linear(1, 1), data, b)\n"
    assert _steps(text, monkeypatch, 10_000) == 100
    assert 4 <= _steps(text, monkeypatch, 20) <= 12


def _steps(text: str, monkeypatch: pytest.MonkeyPatch, unrolled: int) -> int:
    monkeypatch.setattr(looping, "UNROLLED", unrolled)
    return sum(isinstance(event, OptimizerStep) for event in walk(_facts(text).runs[0].tree))


def test_the_bound_on_steps_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "STEPS", (50, 0))
    facts = _facts(_functions(1) + "".join(f"x{i} = {i}\n" for i in range(100)))
    assert facts.bounded == ["train.py:56: more than 50 steps to interpret; what follows counts as unknown"]


def test_a_file_that_trains_nothing_is_allowed_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call of `backward`, or a module, is what makes it one that trains; the note names the bound that was hit."""
    monkeypatch.setattr(interpreter, "IDLE", (200, 0))
    helper = "def prepare_loss(x):\n" + "    x = x + 1\n" * 300 + "    return x\n"
    for rest, bounded in (
        ("", ["more than 200 steps to interpret; what follows counts as unknown"]),
        ("class Net(nn.Module):\n    def forward(self, x):\n        return x\n", []),
        ("def fit(loss):\n    loss.backward()\n", []),
    ):
        facts = _facts(f"{HEAD}{helper}{rest}")
        assert [note.partition(": ")[2] for note in facts.bounded] == bounded, rest


def test_a_loop_seen_in_part_lacks_nothing(project: Path, gradlint: Run) -> None:
    """Where the backward stands behind a call that takes more steps than are allowed, the loop only seems to look."""
    helpers = "".join(f"def f{i}(x):\n    f{i + 1}(x)\n    f{i + 1}(x)\n\n\n" for i in range(13))
    script = (
        f"{HEAD}{helpers}def f13(x):\n    x.eval()\n"
        + """
def train(model, loader, check):
    model.eval()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for x, y in loader:
        loss = nn.functional.cross_entropy(model(x), y)
        PLACE
"""
    )
    for rest, found in (("f0(check); opt.zero_grad(); loss.backward(); opt.step()", []), ("print(loss)", ["GL803"])):
        (project / "train.py").write_text(script.replace("PLACE", rest))
        output = gradlint("train.py", "--no-cache", "-q", "--output-format", "concise").stdout
        assert re.findall("GL[0-9]+", output) == found, rest


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


def test_a_dear_function_of_another_file_is_as_an_installed_one(project: Path, gradlint: Run) -> None:
    """The rest of the file is interpreted without it: its mistake is found, and a constructor of it misses nothing."""
    lines = "        x = 1\n" * 30_000
    base = f"class Base(nn.Module):\n    def __init__(self):\n        super().__init__()\n{lines}"
    (project / "base.py").write_text(f"{HEAD}{base}")
    (project / "train.py").write_text(
        HEAD
        + """
from base import Base


class Encoder(Base):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 8)


class Model(Encoder):
    def __init__(self):
        super().__init__()
        self.two = nn.Linear(8, 1)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


def train(loader):
    model = Model()
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in loader:
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
"""
    )
    result = gradlint("train.py", "--no-cache", "--output-format", "concise")
    assert re.findall("GL[0-9]+", result.stdout) == ["GL101"]
    assert result.stderr.startswith(
        "gradlint: base.py:4: Base.__init__ takes too many steps; it counts as unseen in train.py\n"
    )


def test_a_list_that_is_put_into_itself_is_followed_once() -> None:
    filled = "        rows.append([model(x), rows])\n    return torch.cat(rows)\n"
    text = HEAD + "rows = []\n" + LOOP.format(i=0) + filled
    assert any(isinstance(event, OptimizerStep) for run in _facts(text).runs for event in walk(run.tree))
