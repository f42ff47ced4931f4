"""Lowering: nothing is lost between the syntax tree and the `Program`, and every position is the text's own."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlint.errors import SourceError
from gradlint.facts import code
from gradlint.facts.build import build
from gradlint.facts.outline import Outline
from gradlint.facts.record import fields_of

NAMES = st.sampled_from(["model", "loss", "x", "self", "opt"])
ATOMS = st.one_of(NAMES, st.integers(-5, 99).map(str), st.sampled_from(["'a'", "None", "1.5", "f'{x}'", "'é'", "..."]))


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, NAMES).map(lambda t: f"({t[0]}).{t[1]}"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]})({t[1]}, k={t[2]}, *[{t[1]}], **d)"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]} + ({t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"{{{t[0]}: {t[1]}, **d}}"),
        st.tuples(inner, inner).map(lambda t: f"[({t[0]}) for x in ({t[1]}) if x]"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}, 1:2]"),
        st.tuples(inner, inner).map(lambda t: f"(lambda a, b=({t[0]}): {t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} and {t[1]} and not {t[2]} or x < y <= z)"),
        inner.map(lambda t: f"(\n  {t}\n)"),
    )


EXPRESSIONS = st.recursive(ATOMS, _grow, max_leaves=14)


def _nodes(node: object) -> list[object]:
    if isinstance(node, (list, tuple)):
        return [found for item in node for found in _nodes(item)]
    if not hasattr(node, "__record__"):
        return []
    children = [getattr(node, name) for name in fields_of(type(node))]
    return [node, *(found for child in children for found in _nodes(child))]


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_calls_and_attributes_stand_where_ast_says(expression: str) -> None:
    text = f"é = 1; result = {expression}\n"
    program = build(text, "train.py")
    for kind, twin in ((code.Call, ast.Call), (code.Attribute, ast.Attribute), (code.Subscript, ast.Subscript)):
        ours = sorted(node.at for node in _nodes(program) if isinstance(node, kind) and node.at)
        theirs = sorted(
            (
                n.lineno,
                _column(text, n.lineno, n.col_offset),
                n.end_lineno,
                _column(text, n.end_lineno, n.end_col_offset),
            )
            for n in ast.walk(ast.parse(text))
            if isinstance(n, twin)
        )
        assert ours == theirs


def _column(text: str, line: int | None, offset: int | None) -> int:
    assert line is not None
    assert offset is not None
    return len(text.split("\n")[line - 1].encode()[:offset].decode()) + 1


@pytest.mark.parametrize(
    ("text", "line"),
    [("x = 1\nwhile True print(x)\n", 2), ("def f(:\n    pass\n", 1), ("print 'a'\n", 1), ("x = (1,\n", 1)],
)
def test_a_syntax_error_names_its_line(text: str, line: int) -> None:
    with pytest.raises(SourceError) as caught:
        build(text, "train.py")
    assert (caught.value.path, caught.value.line) == ("train.py", line)


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    with pytest.raises(SourceError):
        build("x = " + "(" * 5000 + "1" + ")" * 5000 + "\n", "train.py")


def test_a_long_sum_needs_no_deep_stack() -> None:
    program = build("import torch\nx = " + " + ".join(["a"] * 700) + "\n", "train.py")
    assert len(program.body) == 2


@pytest.mark.parametrize(
    ("text", "kind"),
    [("f'layer{i}.w'", "text"), ("'head.' f'layer{i}.w'", "text"), ("f'{i:03d}'", "string"), ("f'{i!r}'", "string")],
)
def test_a_string_put_together_of_plain_pieces_keeps_them(text: str, kind: str) -> None:
    (found,) = [node for node in _nodes(build(f"key = {text}\n", "train.py")) if isinstance(node, code.Other)]
    assert found.kind == kind
    written = [part.value for part in found.parts if isinstance(part, code.Literal)]
    assert written == ([] if kind == "string" else ["head.layer" if "head" in text else "layer", ".w"])
    assert [part.name for part in found.parts if isinstance(part, code.Name)] == ["i"]


def test_an_index_in_parentheses_is_the_same_index() -> None:
    (plain,), (wrapped,) = (
        [node for node in _nodes(build(f"y = x[{index}]\n", "train.py")) if isinstance(node, code.Subscript)]
        for index in ("0, 1:2", "(0), 1:2")
    )
    (tupled,) = [node for node in _nodes(build("y = x[(0, 1)]\n", "t.py")) if isinstance(node, code.Subscript)]
    (empty,) = [node for node in _nodes(build("y = x[()]\n", "t.py")) if isinstance(node, code.Subscript)]
    assert [len(node.index) for node in (plain, wrapped, tupled, empty)] == [2, 2, 2, 1]


def test_only_statements_that_can_matter_are_kept() -> None:
    text = (
        "import torch\n\ndef plain(a):\n    return helper(a)\n\ndef helper(a):\n    return a\n\n"
        "def train(o):\n    o.step(helper)\n"
    )
    kept = [node.name for node in Outline(text, "x.py").program().body if isinstance(node, code.Function)]
    assert kept == ["helper", "train"]
