"""Every example of every rule is a test: bad ones fire where they say, good ones are silent under all rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import USER_RULES, Run

from gradlint.catalog import Catalog
from gradlint.examples import failures

CATALOG = Catalog()


@pytest.mark.parametrize("name", sorted(name for name, rule in CATALOG.rules.items() if rule.static))
def test_examples(name: str) -> None:
    problems = list(failures(CATALOG, name))
    assert not problems, "\n".join(problems)


def test_users_can_test_their_own(project: Path, gradlint: Run) -> None:
    result = gradlint("test-rules", str(USER_RULES))
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "1 rules, 3 examples, 0 failures\n"


def test_wrong_examples_are_named(project: Path, gradlint: Run) -> None:
    (project / "rules").mkdir()
    text = (USER_RULES / "marked-line.yaml").read_text()
    text = text.replace('x = "FIRE"  # error: XX001', 'x = "FIRE"\n      y = 1  # error: XX001', 1)
    text = text.replace('x = "water"', 'x = "FIRE"').replace('x = "fire"', 'x = "ice"')
    (project / "rules/marked-line.yaml").write_text(text)
    (project / "rules/marked_line.py").write_text((USER_RULES / "marked_line.py").read_text())
    result = gradlint("test-rules", "rules")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    bad = "XX001 marked-line: bad example `a marked line`: train.py:"
    assert f"{bad}4: XX001 expected, not found" in lines
    assert f"{bad}3: XX001 not expected: line 3 says FIRE" in lines
    assert f"{bad} --fix makes something else of it:" in lines
    assert "XX001 marked-line: good example `no such word`: train.py:3: XX001 not expected: line 3 says FIRE" in lines


def test_half_a_rule_is_named(project: Path, gradlint: Run) -> None:
    (project / "rules").mkdir()
    (project / "rules/marked-line.yaml").write_text((USER_RULES / "marked-line.yaml").read_text())
    result = gradlint("test-rules", "rules")
    assert result.returncode == 1
    assert result.stdout == f"{project / 'rules/marked-line.yaml'}: has no check marked_line.py\n"
