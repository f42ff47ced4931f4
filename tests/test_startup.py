"""What each kind of run imports: nothing it does not use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from gradlint import replay

NEVER = {"libcst", "torch", "networkx", "matplotlib", "psutil", "pygls", "click", "msgspec"}
HEAVY = NEVER | {
    "yaml",
    "argparse",
    "re",
    "dataclasses",
    "sqlite3",
    "tomllib",
    "json",
    "pathlib",
    "typing",
    "ast",
}
TRAINING = """\
import torch
from torch import nn

model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
for x, y in [(torch.randn(8, 4), torch.randint(0, 2, (8,)))] * 100:
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """Top-level names and modules of gradlint that a run of the command has imported when it ends."""
    script = (
        "import sys; bare = set(sys.modules); from gradlint.__main__ import main;"
        "sys.argv = ['gradlint', *sys.argv[1:]]; code = main(sys.argv[1:]); new = set(sys.modules) - bare;"
        "print('MODULES', *sorted(new)); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", script, *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )  # fmt: skip
    return set(result.stdout.split("MODULES ")[1].split())


def test_version_imports_nothing_else(project: Path) -> None:
    modules = imported(project, "--version")
    assert not modules & (HEAVY - {"argparse", "re", "typing"})
    assert "gradlint.engine" not in modules


HOOK = ["check", "--force-exclude", "--output-format=concise"]


@pytest.mark.parametrize("options", [[], HOOK], ids=["plain", "hook"])
def test_script_without_training_code(project: Path, options: list[str]) -> None:
    (project / "a.py").write_text("import os\n")
    modules = imported(project, *options, "a.py")
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("gradlint")} == {
        "gradlint", "gradlint.__main__", "gradlint.replay", "gradlint.quick", "gradlint.facts",
    }  # fmt: skip


def test_unchanged_run(project: Path) -> None:
    (project / "a.py").write_text(TRAINING)
    time.sleep(2 * replay.RACY_NS / 1e9)
    for _ in range(2):
        imported(project, "a.py")
    modules = imported(project, "a.py")
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("gradlint")} == {
        "gradlint",
        "gradlint.__main__",
        "gradlint.replay",
    }


def test_cold_run_of_a_clean_script(project: Path) -> None:
    (project / "a.py").write_text(TRAINING)
    imported(project, "a.py")
    (project / "a.py").write_text(TRAINING + "\n")
    modules = imported(project, "a.py")
    assert not modules & NEVER
    assert "gradlint.facts.link" in modules
    assert "yaml" not in modules, "with the index of rules at hand, no rule file is read while nothing fires"
    assert "asyncio" not in modules


@pytest.mark.parametrize("name", ["gradlint", "gradlint.cli", "gradlint.engine", "gradlint.facts", "gradlint.api"])
def test_importing_the_library_is_light(name: str) -> None:
    script = f"import sys, {name}; print(*sys.modules)"
    path = os.pathsep.join([str(ROOT), *sys.path])
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert not set(result.stdout.split()) & (NEVER | {"yaml"})
