"""The rules linted: names, texts, links, options, examples, and nothing without its other half."""

from __future__ import annotations

import ast
import inspect
import json
import re
import string
from collections import Counter

import pytest
from conftest import ROOT

from gradlint.catalog import Catalog, RuleSpec
from gradlint.examples import marked
from gradlint.page import index
from gradlint.registry import Registry, needs_check

CATALOG = Catalog()
RULES = list(CATALOG.rules.values())
FAMILIES = {
    "1": "training-loop", "2": "gradient-path", "3": "vanishing", "4": "exploding", "5": "initialisation",
    "6": "learning-rate", "7": "loss", "8": "mode-and-data", "9": "precision-and-frameworks",
}  # fmt: skip
BAD, GOOD = 4, 6

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def test_nothing_stands_alone() -> None:
    assert Registry().orphans(RULES) == []


@every_rule
def test_identity(rule: RuleSpec) -> None:
    assert re.fullmatch(r"GL[1-9]\d\d", rule.code)
    assert rule.family == ("gradlint" if rule.code.startswith("GL99") else FAMILIES[rule.code[2]])
    assert not re.match(r"(no|use|add|avoid|do-not|prefer)-(?!op-|grad-)", rule.name), "name the pattern, not the cure"
    assert not (rule.default and rule.status == "preview"), "a rule in preview is not in the default set"
    assert rule.static or rule.trace, "some wing has to serve it"


@every_rule
def test_texts(rule: RuleSpec) -> None:
    assert not rule.message.endswith(".")
    assert rule.fine.strip()
    assert bool(rule.confirm) == rule.trace, "`confirm` goes with `trace: true`"
    assert len(rule.why.split()) >= 20, "say the mechanism and the size of the harm"
    for _, name, spec, conversion in string.Formatter().parse(rule.message):
        assert name is None or re.fullmatch(r"[a-z_]+", name)
        assert not conversion
        assert spec is None or re.fullmatch(r"[\d.,]*[defg]?", spec)


@every_rule
def test_references(rule: RuleSpec) -> None:
    assert rule.references, "a rule names its source"
    assert len({item.url for item in rule.references}) == len(rule.references)


@every_rule
def test_examples_parse_and_are_enough(rule: RuleSpec) -> None:
    examples = CATALOG.examples(rule.name)
    kinds = Counter(example.kind for example in examples)
    if rule.status != "deprecated":
        assert kinds["bad"] >= BAD, f"{kinds['bad']} firing examples"
        assert kinds["good"] >= GOOD, f"{kinds['good']} silent examples"
    titles = Counter((example.kind, example.title) for example in examples)
    assert max(titles.values(), default=1) == 1
    texts = Counter(tuple(example.files.items()) for example in examples)
    assert max(texts.values(), default=1) == 1
    for example in examples:
        for name, text in (*example.files.items(), *(example.fixed or {}).items()):
            if name.endswith(".ipynb"):
                assert example.kind == "bad" or json.loads(text)["nbformat"] == 4
            elif rule.name != "syntax-error" or example.kind == "good":
                ast.parse(text)
        if example.kind == "good":
            assert not marked(example.files), f"good example `{example.title}` marks a line"
        elif rule.static:
            assert any(code == rule.code for _, _, code in marked(example.files)), example.title


def _asked(text: str) -> tuple[set[str], bool]:
    """The options a check asks for by a literal name, and whether it computes the name of another."""
    names: set[str] = set()
    computed = False
    for call in ast.walk(ast.parse(text)):
        if not (isinstance(call, ast.Call) and ast.unparse(call.func).startswith("options.")):
            continue
        literals = {node.value for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)}
        names |= {name for name in literals if isinstance(name, str)}
        computed = computed or not literals
    return names, computed


@pytest.mark.parametrize("rule", [rule for rule in RULES if needs_check(rule)], ids=lambda rule: rule.name)
def test_checks(rule: RuleSpec) -> None:
    """A check has the agreed form, is thin, asks only for options its rule declares and for all of them."""
    registry = Registry()
    check = registry.check(rule.name)
    assert list(inspect.signature(check).parameters) == ["facts", "options"]
    text = registry.modules[rule.name].read_text("utf-8")
    asked, computed = _asked(text)
    assert asked <= set(rule.options) if computed else asked == set(rule.options)
    assert f'"{rule.name}"' in text, "a check names its rule"
    assert text.count("\n") <= 160


def test_codes_are_never_reused() -> None:
    """Every code the changelog calls removed is still there as a tombstone."""
    removed = set(re.findall(r"removed (GL\d{3})", (ROOT / "CHANGELOG.md").read_text("utf-8")))
    assert removed <= {rule.code for rule in RULES if rule.status == "removed"}


def test_index_is_current() -> None:
    """`gradlint rule --all --output-format markdown > rules/README.md` makes it."""
    assert (ROOT / "rules/README.md").read_text("utf-8") == f"{index(RULES)}\n"
