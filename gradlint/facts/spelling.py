"""How the code spells an expression, rebuilt for messages: brackets only where needed, long parts cut to `…`."""

from __future__ import annotations

from gradlint.facts import code
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Place

_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "@": 2, "**": 4}
_UNARY = 3
_ATOM = 5
_LIMIT = 60


def spelled(facts: TrainingFacts, place: Place, fallback: str) -> str:
    """The expression at a place of this file, at most 60 characters of it; `fallback` where it was not kept."""
    node = expression_at(facts, place)
    if node is None:
        return fallback
    return next((text for depth in range(6, 0, -1) if len(text := _text(node, depth)) <= _LIMIT), fallback)


def expression_at(facts: TrainingFacts, place: Place) -> code.Call | code.Binary | None:
    """The call or operation at a place of this file."""
    if place.path != facts.path:
        return None
    found = (node for node in facts.nodes if isinstance(node, (code.Call, code.Binary)))
    return next((node for node in found if node.at == place.at), None)


def _text(node: object, depth: int) -> str:
    return _spell(node, depth)[0]


def _spell(node: object, depth: int) -> tuple[str, int]:
    """The text of a node and how strongly it binds."""
    if isinstance(node, code.Name):
        return node.name, _ATOM
    if isinstance(node, code.Literal):
        return (f"{node.value:g}" if isinstance(node.value, float) else repr(node.value)), _ATOM
    if depth == 0:
        return "…", _ATOM
    if isinstance(node, code.Attribute):
        deeper = not isinstance(node.base, (code.Name, code.Attribute))
        return f"{_within(node.base, depth - deeper, _ATOM)}.{node.name}", _ATOM
    if isinstance(node, code.Call):
        given = [(f"{a.name}=" if a.name else a.star) + _text(a.value, depth - 1) for a in node.arguments]
        return f"{_text(node.func, depth)}({', '.join(given)})", _ATOM
    if isinstance(node, code.Subscript):
        return f"{_within(node.base, depth, _ATOM)}[{', '.join(_text(part, depth - 1) for part in node.index)}]", _ATOM
    if isinstance(node, code.Binary):
        own = _STRENGTH.get(node.op, 0)
        power = node.op == "**"
        left, right = _within(node.left, depth - 1, own + power), _within(node.right, depth - 1, own + (not power))
        return f"{left}**{right}" if power else f"{left} {node.op} {right}", own
    if isinstance(node, code.Unary):
        return f"{node.op}{' ' if node.op == 'not' else ''}{_within(node.value, depth, _UNARY)}", _UNARY
    if isinstance(node, code.Sequence):
        brackets = {"list": "[]", "set": "{}"}.get(node.kind, "()")
        return f"{brackets[0]}{', '.join(_text(item, depth - 1) for item in node.items)}{brackets[1]}", _ATOM
    if isinstance(node, code.Slice):
        parts = [_text(part, depth) if part is not None else "" for part in (node.lower, node.upper)]
        return ":".join(parts), 0
    return "…", _ATOM


def _within(node: object, depth: int, needed: int) -> str:
    text, strength = _spell(node, depth)
    return text if strength >= needed else f"({text})"
