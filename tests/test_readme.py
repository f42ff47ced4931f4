"""What the README says is what happens: its rule of one's own, its configuration, its example, its commands."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import ROOT, Run

from gradlint.catalog import Catalog
from gradlint.cli import COMMANDS
from gradlint.config import load

README = (ROOT / "README.md").read_text("utf-8")


def block(language: str, containing: str) -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.S) if containing in text]
    assert len(found) == 1, containing
    return found[0]


def test_rule_of_ones_own(project: Path, gradlint: Run) -> None:
    folder = project / "my_rules"
    folder.mkdir()
    (folder / "saved-loss.yaml").write_text(block("yaml", "code: MY001"))
    (folder / "saved_loss.py").write_text(block("python", "def check"))
    result = gradlint("test-rules", "my_rules")
    assert (result.returncode, result.stdout) == (0, "")


def test_configuration_is_one(project: Path) -> None:
    text = block("toml", "[tool.gradlint]")
    (project / "pyproject.toml").write_text(text)
    assert load(project / "pyproject.toml").rules["high-learning-rate"].values == {"adam": 0.02}


def test_configuration_runs(project: Path, gradlint: Run) -> None:
    (project / "pyproject.toml").write_text(block("toml", "[tool.gradlint]"))
    (project / "a.py").write_text("import torch\n")
    result = gradlint("a.py")
    assert (result.returncode, result.stderr) == (0, "")


def test_example_has_the_findings_shown(project: Path, gradlint: Run) -> None:
    (project / "examples").mkdir()
    (project / "examples/train.py").write_text((ROOT / "examples/train.py").read_text())
    result = gradlint("examples/train.py")
    assert result.returncode == 1
    assert block("text", "examples/train.py") in result.stdout


def test_exactly_two_commands() -> None:
    section = README.split("## Two commands")[1].split("\n## ")[0]
    assert len(re.findall(r"```console\n(.+)\n```", section)) == 2


def test_every_format_and_option_exists(project: Path, gradlint: Run) -> None:
    known = "".join(gradlint(command, "--help").stdout for command in COMMANDS)
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)):
        assert option in known, option


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("## ")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


def test_files_it_names_are_there() -> None:
    named = re.findall(r"`((?:editors|tests|examples|docs|rules)/[\w./-]+)`", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_rules_it_names_exist() -> None:
    rules = Catalog().rules.values()
    assert set(re.findall(r"GL\d{3}", README)) - {"GL990"} <= {rule.code for rule in rules}
