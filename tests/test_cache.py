"""What is remembered is true: an unchanged run is replayed, and any change that matters is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, USER_RULES, Run

from gradlint import cache as caching
from gradlint import replay
from gradlint.cache import Cache

FIRE = 'import torch\nx = "FIRE"\n'


def settle() -> None:
    """Let file clocks move on, so that what was just written is not too young to be trusted."""
    time.sleep(2 * replay.RACY_NS / 1e9)


def replays(arguments: list[str], folder: Path) -> bool:
    """Whether the next such run would be answered without any work."""
    script = (
        "import sys; from gradlint import replay; sys.argv = ['gradlint', *sys.argv[1:]];"
        "print(replay.find(sys.argv[1:]) is not None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    return result.stdout == "True\n"


def dismisses(arguments: list[str], folder: Path) -> bool:
    """Whether the next such run would end without its settings being read."""
    script = (
        "import sys; from gradlint import quick; sys.argv = ['gradlint', *sys.argv[1:]];"
        "print(quick.known_clean(sys.argv[1:]) is not None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    return result.stdout == "True\n"


def test_replayed_run_says_the_same(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    settle()
    first = gradlint(".")
    second = gradlint(".")
    assert replays(["."], marked)
    third = gradlint(".")
    assert first.returncode == second.returncode == third.returncode == 1
    assert first.stdout == second.stdout == third.stdout


@pytest.mark.parametrize(
    "change",
    [
        "content",
        "same size and time",
        "new file",
        "deleted",
        "config",
        "closer config",
        "gitignore",
        "imported",
        "rule",
    ],
)
def test_every_change_is_seen(project: Path, gradlint: Run, change: str) -> None:
    rules = project / "rules"
    rules.mkdir()
    for name in ("marked-line.yaml", "marked_line.py"):
        (rules / name).write_text((USER_RULES / name).read_text())
    (project / "gradlint.toml").write_text('extend-rules = ["rules"]\nselect = ["XX", "GL99"]\n')
    package = project / "package"
    package.mkdir()
    (package / "a.py").write_text("import torch\nimport other\n\nother.x\n")
    (package / "other.py").write_text('x = "WATER"\n')
    settle()
    for _ in range(2):
        assert gradlint("package").returncode == 0
    assert replays(["package"], project)
    before = (package / "a.py").stat()
    if change == "content":
        (package / "a.py").write_text(FIRE)
    elif change == "same size and time":
        (package / "other.py").write_text('x = "FIRE!"\n')
        os.utime(package / "other.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "new file":
        (package / "b.py").write_text(FIRE)
    elif change == "deleted":
        (package / "a.py").unlink()
        (package / "b.py").write_text(FIRE)
    elif change == "config":
        (project / "gradlint.toml").write_text(
            'extend-rules = ["rules"]\nselect = ["XX"]\n[rules.XX001]\nword = "WATER"\n'
        )
    elif change == "closer config":
        (package / "gradlint.toml").write_text(
            'extend-rules = ["../rules"]\nselect = ["XX"]\n[rules.XX001]\nword = "WATER"\n'
        )
    elif change == "gitignore":
        (package / ".gitignore").write_text("*.py\n")
    elif change == "imported":
        (package / "other.py").write_text('x = "FIRE"\n')
    else:
        (rules / "marked_line.py").write_text(
            (USER_RULES / "marked_line.py").read_text().replace("'word')", "'word')[:0]")
        )
    result = gradlint("package", "--output-format", "concise")
    expected = 0 if change in ("gitignore", "rule") else 1
    if change != "rule":
        assert gradlint("package").returncode == result.returncode == expected, result.stdout
    assert result.stdout == gradlint("package", "--output-format", "concise", "--no-cache").stdout


def test_scripts_without_training_code_under_known_settings(marked: Path, gradlint: Run) -> None:
    """After one clean run, settings are not read again for files that hold nothing of concern; a change is seen."""
    options = ("--extend-ignore", "GL101")
    (marked / "a.py").write_text("import os\n")
    (marked / "gradlint.toml").write_text('select = ["GL1"]\n')
    settle()
    assert gradlint("a.py", *options).returncode == 0
    (marked / "a.py").write_text("import sys\n")
    (marked / "b.py").write_text("import re\n")
    arguments = ["a.py", "b.py", *options]
    assert dismisses(arguments, marked)
    assert gradlint(*arguments).stdout == "All checks passed!\n"
    assert not dismisses(["a.py"], marked), "other options are other settings"
    (marked / "b.py").write_text(FIRE)
    assert not dismisses(arguments, marked)
    (marked / "b.py").write_text("import re\n")
    (marked / "gradlint.toml").write_text('select = ["GL1"]\nunknown = 1\n')
    assert not dismisses(arguments, marked)
    assert gradlint(*arguments).returncode == 2


def test_other_arguments_are_another_run(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    settle()
    for _ in range(2):
        gradlint("a.py")
    assert replays(["a.py"], marked)
    assert not replays(["a.py", "--exit-zero"], marked)
    assert gradlint("a.py", "--exit-zero").returncode == 0


def test_unchanged_files_are_not_examined_again(marked: Path, gradlint: Run) -> None:
    rules = marked / "rules"
    rules.mkdir()
    (rules / "marked-line.yaml").write_text((USER_RULES / "marked-line.yaml").read_text())
    (rules / "marked_line.py").write_text(
        "def check(facts, options):\n"
        "    with open('log.txt', 'a') as stream:\n"
        "        stream.write(facts.path + '\\n')\n"
        "    return iter(())\n"
    )
    (marked / "gradlint.toml").write_text('extend-rules = ["rules"]\nselect = ["XX"]\n')
    for name in ("a.py", "b.py", "plain.py"):
        (marked / name).write_text("import torch\n" if name != "plain.py" else "import os\n")
    gradlint(".")
    (marked / "b.py").write_text("import torch\n\n")
    gradlint(".")
    assert (marked / "log.txt").read_text().split() == ["a.py", "b.py", "b.py"]


def test_another_selection_of_rules_needs_no_parse(project: Path, gradlint: Run) -> None:
    """Findings of every rule are remembered: what is selected, ignored or shown changes without the model."""
    (project / "train.py").write_text(
        "import torch\nfrom torch import nn\n\nmodel = nn.Linear(4, 2)\n"
        "opt = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for x, y in loader:\n    loss = nn.functional.cross_entropy(model(x), y)\n"
        "    loss.backward()\n    opt.step()\n"
    )
    assert "GL101" not in gradlint("train.py", "--ignore", "GL101").stdout
    run = [sys.executable, "-X", "importtime", "-m", "gradlint", "train.py", "--select=GL101"]
    result = subprocess.run(
        run, cwd=project, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert "GL101" in result.stdout
    assert "libcst" not in result.stderr
    (project / "gradlint.toml").write_text("[rules.GL601]\nadam = 0.5\n")
    assert "GL101" in gradlint("train.py", "--output-format", "concise").stdout


def test_findings_across_files_follow_every_change_of_the_other_file(project: Path, gradlint: Run) -> None:
    """The result of a file is kept with the contents of all that it was linked with, of files that were missing too."""
    step = "    for x, y in loader:\n        criterion(model(x), y).backward()\n        opt.step()\n"
    faulty = f"def train(model, loader, opt, criterion):\n{step}"
    script = project / "main.py"
    script.write_text(
        "import torch\nfrom helper import train\n\n"
        "model = torch.nn.Linear(4, 2)\n"
        "data = [(torch.randn(8, 4), torch.randint(0, 2, (8,)))] * 100\n"
        "train(model, data, torch.optim.SGD(model.parameters(), lr=0.1), torch.nn.CrossEntropyLoss())\n"
    )
    helper, package = project / "helper.py", project / "helper"
    package.mkdir()
    changes = [
        (helper, faulty, ["helper.py:4"]),
        (helper, faulty.replace("opt.step()", "opt.step()\n        opt.zero_grad()"), []),
        (helper, f"\n{faulty}", ["helper.py:5"]),
        (helper, None, []),
        (package / "__init__.py", faulty, ["helper/__init__.py:4"]),
    ]
    for path, text, expected in changes:
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        for _ in range(2):
            shown = gradlint("main.py", "--select", "GL101", "--output-format", "concise", "-q").stdout
            assert [line.rpartition(": GL101")[0].rpartition(":")[0] for line in shown.splitlines()] == expected


def test_an_unused_layer_follows_every_file_beside_it(project: Path, gradlint: Run) -> None:
    (project / "net.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.body = nn.Linear(4, 8)\n        self.side = nn.Linear(8, 2)\n\n"
        "    def forward(self, x):\n        return torch.relu(self.body(x))\n"
    )
    user = project / "user.py"
    use = "from net import Net\n\n\ndef train(net, x):\n    return net.side(net(x))\n"
    inherit = "from net import Net\n\n\nclass Both(Net):\n    def forward(self, x):\n        return self.side(x)\n"
    own = "class Net:\n    def forward(self, x):\n        return self.side(x)\n"
    for text, found in ((None, 1), (use, 0), ("import net\n", 1), (inherit, 0), (own, 1), (use, 0), (None, 1)):
        if text is None:
            user.unlink(missing_ok=True)
        else:
            user.write_text(text)
        for _ in range(2):
            shown = gradlint("net.py", "--select", "GL222", "--output-format", "concise", "-q").stdout
            assert shown.count("GL222") == found, text


def test_crashes_and_failures_are_never_remembered(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text("import torch\n# CRASH\n")
    settle()
    for _ in range(3):
        assert gradlint("a.py").returncode == 2
    assert not replays(["a.py"], marked)


@pytest.mark.parametrize("damage", ["garbage", "empty", "folder", "truncated"])
def test_damaged_cache_is_worked_around(marked: Path, gradlint: Run, damage: str) -> None:
    (marked / "a.py").write_text(FIRE)
    settle()
    for _ in range(2):
        gradlint("a.py")
    for path in [marked / ".gradlint_cache/findings.db", *(marked / ".gradlint_cache/runs").iterdir()]:
        data = path.read_bytes()
        path.unlink()
        if damage == "folder":
            path.mkdir()
        else:
            path.write_bytes({"garbage": b"\x93" * 4000, "empty": b"", "truncated": data[: len(data) // 2]}[damage])
    result = gradlint("a.py", "--output-format", "concise", "-q")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.startswith("a.py:2:6: XX001")


def test_folder_that_cannot_be_made(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    (marked / "file").write_text("")
    result = gradlint("a.py", "--cache-dir", "file/cache")
    assert (result.returncode, result.stderr) == (1, "")


def test_no_cache_writes_nothing(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    gradlint("a.py", "--no-cache")
    assert not (marked / ".gradlint_cache").exists()


def test_cache_folder_is_named(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    gradlint("a.py", "--cache-dir", "one")
    gradlint("a.py", GRADLINT_CACHE_DIR="two")
    assert (marked / "one/CACHEDIR.TAG").exists()
    assert (marked / "two/.gitignore").read_text() == "*\n"
    assert not (marked / ".gradlint_cache").exists()


def test_clean(marked: Path, gradlint: Run) -> None:
    (marked / "a.py").write_text(FIRE)
    gradlint("a.py")
    assert gradlint("clean").returncode == 0
    assert not (marked / ".gradlint_cache").exists()
    assert gradlint("clean").returncode == 0
    (marked / "precious").mkdir()
    result = gradlint("clean", "--cache-dir", "precious")
    assert result.returncode == 2
    assert (marked / "precious").exists()


def test_parallel_runs_share_it(marked: Path) -> None:
    for number in range(8):
        (marked / f"a{number}.py").write_text(FIRE)
    command = [sys.executable, "-m", "gradlint", ".", "--output-format", "concise"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.Popen(command, cwd=marked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        for _ in range(4)
    ]
    results = [run.communicate(timeout=120) for run in runs]
    assert {run.returncode for run in runs} == {1}
    assert len({out for out, _ in results}) == 1
    assert {err for _, err in results} == {b""}


def test_killed_run_leaves_a_cache_that_works(marked: Path, gradlint: Run) -> None:
    for number in range(30):
        (marked / f"a{number}.py").write_text(FIRE)
    command = [sys.executable, "-m", "gradlint", "."]
    for delay in (0.2, 0.4, 0.6, 0.8):
        run = subprocess.Popen(
            command,
            cwd=marked,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert gradlint(".", "--output-format", "concise", "-q").stdout.count("XX001") == 30


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MAX_ROWS", 10)
    for turn in range(5):
        cache = Cache(tmp_path / "cache", 1)
        for number in range(6):
            cache.put(f"{turn}-{number}.py", "plan", {}, "result")
        cache.close()
    cache = Cache(tmp_path / "cache", 1)
    kept = [cache.get(f"{turn}-{number}.py", "plan") for turn in range(5) for number in range(6)]
    cache.close()
    assert 0 < sum(row is not None for row in kept) <= 10


def test_runs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "KEPT", 3)
    for number in range(6):
        replay.Recorder([f"{number}.py"]).store(str(tmp_path), "", 0)
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_nothing_young_is_trusted(tmp_path: Path) -> None:
    recorder = replay.Recorder(["a.py"])
    (tmp_path / "a.py").write_text("x = 1\n")
    recorder.note(str(tmp_path / "a.py"))
    assert not recorder.storable


def test_result_is_plain_data(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1)
    with pytest.raises(ValueError, match="unmarshallable"):
        cache.put("a.py", "plan", {}, object())
    cache.close()
