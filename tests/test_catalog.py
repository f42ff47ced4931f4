"""Rule files: their shape, and one sentence with file, line and key for each way to get it wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import ROOT, USER_RULES

from gradlint import shape
from gradlint.catalog import Catalog, builtin_folder, read_head
from gradlint.errors import CatalogError
from gradlint.registry import Registry
from gradlint.selection import Selector, resolve, select

GOOD = (USER_RULES / "marked-line.yaml").read_text()


def test_shipped_schema_is_the_shape() -> None:
    assert json.loads((ROOT / "rules/schema.json").read_text()) == shape.SCHEMA


def test_schema_is_valid_and_agrees_with_the_loader() -> None:
    validator = jsonschema.Draft202012Validator(shape.SCHEMA)
    validator.check_schema(shape.SCHEMA)
    for path in sorted(builtin_folder().glob("*.yaml")):
        validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("code: XX001", "code: X1", "marked-line.yaml:1: code: `X1` does not match"),
        ("name: marked-line", "name: other-name", "marked-line.yaml:2: name: `other-name` is not the name of the file"),
        ("status: stable", "status: done", "marked-line.yaml:4: status: `done` is not one of preview, stable"),
        ("default: true", "default: 'yes'", "marked-line.yaml:5: default: is not a boolean"),
        ("severity: warning\n", "", "marked-line.yaml:1: severity: is missing"),
        ("fix: |", "fixx: |", "fix: is missing"),
        ("summary:", "sumary: x\nsummary:", "marked-line.yaml:8: sumary: unknown key; did you mean `summary`?"),
        ("type: int, default: 1000", "type: int, default: a", "options.most.default: is not of type int"),
        ("https://docs", "docs", "references.0.url: `docs.pytorch.org"),
        ("code: XX001", "code: [", "marked-line.yaml:3: not valid YAML"),
    ],
)
def test_wrong_rule_files(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    (tmp_path / "marked-line.yaml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(CatalogError) as caught:
        read_head(tmp_path / "marked-line.yaml")
    assert sentence in str(caught.value)


def test_wrong_examples_are_found_when_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "marked-line.yaml").write_text(GOOD + "    bad: |\n      y = 1\n")
    catalog = Catalog([tmp_path])
    assert catalog.rule("marked-line").code == "XX001"
    with pytest.raises(CatalogError, match=r"marked-line.yaml:\d+: examples.2: needs exactly one"):
        catalog.examples("marked-line")


def test_codes_and_names_are_unique(tmp_path: Path) -> None:
    (tmp_path / "marked-line.yaml").write_text(GOOD)
    (tmp_path / "other-line.yaml").write_text(GOOD.replace("name: marked-line", "name: other-line"))
    with pytest.raises(CatalogError, match=r"code: XX001 already belongs to"):
        Catalog([tmp_path]).rules  # noqa: B018
    with pytest.raises(CatalogError, match="is already the name of"):
        Catalog([tmp_path, USER_RULES]).rules  # noqa: B018


def test_index_is_used_until_a_rule_changes(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "marked-line.yaml").write_text(GOOD)
    index = tmp_path / "rules.bin"
    first = Catalog([folder], index).rules
    assert index.exists()
    assert Catalog([folder], index).rules == first
    (folder / "marked-line.yaml").write_text(GOOD.replace("severity: warning", "severity: error"))
    assert Catalog([folder], index).rules["marked-line"].severity == "error"
    index.write_bytes(b"\x00broken")
    assert Catalog([folder], index).rules["marked-line"].severity == "error"


def test_orphans_on_either_side(tmp_path: Path) -> None:
    (tmp_path / "marked-line.yaml").write_text(GOOD)
    (tmp_path / "alone.py").write_text("def check(facts, options): ...\n")
    registry = Registry([tmp_path])
    user = [text for text in registry.orphans(Catalog([tmp_path]).rules.values()) if str(tmp_path) in text]
    assert user == [
        f"{tmp_path / 'alone.py'}: has no rule alone.yaml",
        f"{tmp_path / 'marked-line.yaml'}: has no check marked_line.py",
    ]


def test_broken_check_modules(tmp_path: Path) -> None:
    (tmp_path / "a_rule.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "b_rule.py").write_text("x = 1\n")
    registry = Registry([tmp_path])
    with pytest.raises(CatalogError, match=r"a_rule\.py: cannot be imported: ModuleNotFoundError"):
        registry.check("a-rule")
    with pytest.raises(CatalogError, match=r"b_rule\.py: defines no function"):
        registry.check("b-rule")
    with pytest.raises(CatalogError, match="rule `c-rule` has no check"):
        registry.check("c-rule")


def names(*words: str, ignored: tuple[str, ...] = (), preview: bool = False) -> set[str]:
    rules = Catalog([USER_RULES]).rules
    chosen = tuple(map(Selector, words)) or None
    return set(select(rules, chosen=chosen, ignored=tuple(map(Selector, ignored)), preview=preview))


def test_more_exact_words_win() -> None:
    assert names("XX001", ignored=("XX",)) == {"marked-line"}
    assert names("XX", ignored=("XX001",)) == set()
    assert names("XX001", ignored=("XX001",)) == set()
    assert names("GL99", ignored=("GL991",)) == {
        "unused-suppression",
        "unknown-code-in-suppression",
        "unreadable-notebook",
    }


def test_default_set_is_what_the_rules_say() -> None:
    rules = Catalog([USER_RULES]).rules
    assert names() == {rule.name for rule in rules.values() if rule.default and rule.status == "stable"}


def test_all_leaves_previews_and_removed_out() -> None:
    rules = Catalog([USER_RULES]).rules
    assert names("ALL") == {rule.name for rule in rules.values() if rule.status in ("stable", "deprecated")}
    assert names("ALL", preview=True) == {rule.name for rule in rules.values() if rule.status != "removed"}


def test_every_code_and_name_resolves_to_itself() -> None:
    rules = Catalog().rules
    for rule in rules.values():
        assert resolve(Selector(rule.code), rules) == [rule]
        assert resolve(Selector(rule.name), rules) == [rule]


def test_a_rule_that_cannot_run_stops_the_run(project: Path) -> None:
    """A built-in rule whose check is missing must not pass for one that found nothing."""
    for name in ("gradlint", "rules"):
        shutil.copytree(ROOT / name, project / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    check = project / "copy/gradlint/checks/missing_zero_grad.py"
    check.unlink()
    (project / "train.py").write_text((ROOT / "examples/train.py").read_text())

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gradlint", "train.py", *arguments],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(project / "copy")},
        )  # fmt: skip

    rule = project / "copy/rules/missing-zero-grad.yaml"
    sentence = f"gradlint: {rule}: has no check missing_zero_grad.py, so it cannot be run\n"
    for _ in range(2):
        result = run()
        assert (result.returncode, result.stdout, result.stderr) == (2, "", sentence)
    assert run("--select", "GL601").returncode == 1
