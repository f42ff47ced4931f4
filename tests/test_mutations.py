"""gradlint on correct loops (silent) and on mechanical mutations of them (the right code on the right line).

`tests/mutations/expected.toml` holds what each mutant is; a family is asked only for rules that exist.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from mutations import families, order
from mutations.script import Mutant, Script, load_scripts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
RULES = HERE.parent / "rules"
SCRIPTS = load_scripts()
WANTED_ORDER = 0.95
WANTED_FAMILY = 0.90


@cache
def expected() -> dict[str, dict[str, dict[str, object]]]:
    return tomllib.loads((HERE / "mutations" / "expected.toml").read_text(encoding="utf-8"))


@cache
def implemented() -> frozenset[str]:
    """Codes that have a rule file."""
    found = (re.search(r"^code: *(GL\d+)", f.read_text(encoding="utf-8"), re.MULTILINE) for f in RULES.glob("*.yaml"))
    return frozenset(match[1] for match in found if match)


def all_mutants(script: Script) -> Iterator[Mutant]:
    yield from order.mutants(script)
    yield from families.mutants(script)


def missed(mutant: Mutant) -> str | None:
    """None where gradlint names one of the codes on one of the lines, else what it said instead."""
    from gradlint import lint_source

    entry = expected()[mutant.script][mutant.identity]
    codes, lines = entry["codes"], entry["lines"]
    assert isinstance(codes, list)
    assert isinstance(lines, list)
    wanted = {mutant.lines[line] for line in lines}
    said = [(d.code, d.range.line) for d in lint_source(mutant.text, f"{mutant.script}.py")]
    if any(code in codes and line in wanted for code, line in said):
        return None
    return f"{mutant.script} {mutant.identity}: want {'/'.join(codes)} on {sorted(wanted)}, got {said or 'nothing'}"


def bugs(script: Script, module: object) -> Iterator[Mutant]:
    """The script's mutants that are bugs some existing rule speaks of."""
    for mutant in module.mutants(script):  # type: ignore[attr-defined]
        codes = expected()[mutant.script][mutant.identity].get("codes")
        if isinstance(codes, list) and implemented().intersection(codes):
            yield mutant


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_mutant_parses_differs_and_is_judged(script: Script) -> None:
    table = expected()[script.name]
    found = list(all_mutants(script))
    assert Counter(m.identity for m in found) == Counter(table.keys())
    for mutant in found:
        ast.parse(mutant.text)
        assert mutant.text != script.text, mutant.identity
        entry = table[mutant.identity]
        assert set(entry) in ({"skip"}, {"codes", "lines"}), mutant.identity
        if "lines" in entry:
            assert isinstance(entry["lines"], list)
            assert entry["lines"], mutant.identity
            assert set(entry["lines"]) <= set(mutant.lines), mutant.identity


def test_every_script_is_judged() -> None:
    assert set(expected()) == {script.name for script in SCRIPTS}
    assert len(SCRIPTS) >= 30


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_correct_loop_is_silent(script: Script) -> None:
    from gradlint import lint_source

    assert [(d.code, d.range.line) for d in lint_source(script.text, f"{script.name}.py")] == []


def _rates(module: object) -> tuple[Counter[str], Counter[str], list[str]]:
    asked: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    misses = []
    for script in SCRIPTS:
        for mutant in bugs(script, module):
            asked[mutant.operator] += 1
            miss = missed(mutant)
            if miss is None:
                hit[mutant.operator] += 1
            else:
                misses.append(miss)
    return asked, hit, misses


def test_order_mutants_are_found() -> None:
    asked, hit, misses = _rates(order)
    assert asked, "no order rule exists"
    # bare names are the easy third of the mutants and must not carry the rest
    easy = {"uncall"}
    share = sum(hit[o] for o in asked if o not in easy) / sum(asked[o] for o in asked if o not in easy)
    report = "\n".join([*misses, *(f"{o}: {hit[o]}/{asked[o]}" for o in sorted(asked))])
    assert share >= WANTED_ORDER, f"{share:.3f} of the order mutants\n{report}"
    poor = [o for o in asked if hit[o] < WANTED_FAMILY * asked[o]]
    assert not poor, f"{poor}\n{report}"


def test_family_mutants_are_found() -> None:
    asked, hit, misses = _rates(families)
    poor = [f"{o}: {hit[o]}/{asked[o]}" for o in sorted(asked) if hit[o] < WANTED_FAMILY * asked[o]]
    assert not poor, "\n".join([*poor, *misses])
