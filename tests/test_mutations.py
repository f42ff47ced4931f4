"""gradlint on correct loops (silent) and on mechanical mutations of them (the right code on the right line).

`tests/mutations/README.md` says how the mutants are made and judged; a rule that does not exist yet is not asked for.
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest
from mutations.measure import MAKERS, TABLE, Count, expected, implemented, measure, table
from mutations.script import Script, load_scripts

SCRIPTS = load_scripts()
WANTED_ORDER = 0.95
WANTED = 0.90
# bare names are the easy third of the order mutants and must not carry the rest
EASY = {"uncall"}


@cache
def counted(kind: str) -> Count:
    return measure(kind)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_mutant_parses_differs_and_is_judged(script: Script) -> None:
    entries = expected()[script.name]
    mutants = [mutant for make in MAKERS.values() for mutant in make(script)]
    assert Counter(mutant.identity for mutant in mutants) == Counter(entries.keys())
    for mutant in mutants:
        ast.parse(mutant.text)
        assert mutant.text != script.text, mutant.identity
        entry = entries[mutant.identity]
        assert set(entry) in ({"skip"}, {"codes", "lines"}), mutant.identity
        if "skip" not in entry:
            assert entry["codes"], mutant.identity
            assert entry["lines"], mutant.identity
            assert {int(line) for line in entry["lines"]} <= set(mutant.lines), mutant.identity


def test_every_script_is_judged() -> None:
    assert set(expected()) == {script.name for script in SCRIPTS}
    assert len(SCRIPTS) >= 30


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_correct_loop_is_silent(script: Script) -> None:
    from gradlint import lint_source

    assert [(d.code, d.range.line) for d in lint_source(script.text, f"{script.name}.py")] == []


def test_order_mutants_are_found() -> None:
    count = counted("order")
    assert count.asked, "no order rule exists"
    hard = [operator for operator in count.asked if operator not in EASY]
    assert count.share(hard) >= WANTED_ORDER, "\n".join(count.misses)


@pytest.mark.parametrize("kind", MAKERS)
def test_each_operator_is_found(kind: str) -> None:
    count = counted(kind)
    poor = [operator for operator in sorted(count.asked) if count.share([operator]) < WANTED]
    assert not poor, "\n".join([", ".join(poor), *count.misses])


@pytest.mark.parametrize("family", sorted({code[:3] for code in implemented() if not code.startswith("GL99")}))
def test_each_family_of_rules_is_found(family: str) -> None:
    found = asked = 0
    for kind in MAKERS:
        count = counted(kind)
        for operator in count.asked:
            if min(count.codes[operator]).startswith(family):
                found, asked = found + count.found[operator], asked + count.asked[operator]
    assert found >= WANTED * asked, f"{found} of {asked}"


def test_committed_table_is_current() -> None:
    assert TABLE.read_text(encoding="utf-8") == table({kind: counted(kind) for kind in MAKERS})
