"""GL409: a loss or gradient that is not finite is replaced or skipped, and nobody is told."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import code
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.roles import last_name, loss_like
from gradlint.facts.values import Gradient, Place, Tensor, Unknown, Value
from gradlint.options import Options

_TESTS = frozenset({"isnan", "isinf", "isfinite"})
_QUIET_CALLS = frozenset({"zero_grad", "empty_cache", "collect"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge replacements wherever they are made, and the skips of the file itself."""
    tested = {call.place: found for call in facts.calls if _asks(call) and (found := _what(call.arguments[0]))}
    for call in facts.calls:
        what = _replaced(call, tested)
        if what is not None:
            yield _finding(call.place, what, "replaced")
    for node in facts.nodes:
        if type(node) is code.If and _skips(node):
            asked = [place for place in tested if place.path == facts.path and place.at in _calls(node.test)]
            if asked:
                yield _finding(Place(facts.path, node.at), tested[asked[0]], "skipped")


def _asks(call: CallFact) -> bool:
    return last_name(call.name) in _TESTS and bool(call.arguments)


def _what(value: Value | None) -> str | None:
    """`loss` or `gradient`, if it is one; data and metrics are not."""
    if isinstance(value, Gradient):
        return "gradient"
    if isinstance(value, (Tensor, Unknown)):
        if "grad" in value.hint:
            return "gradient"
        made = not isinstance(value, Tensor) or value.loss is not None or value.attached
        return "loss" if made and loss_like(value) else None
    return None


def _replaced(call: CallFact, tested: dict[Place, str]) -> str | None:
    if last_name(call.name) in ("nan_to_num", "nan_to_num_"):
        return _what(call.receiver if call.receiver is not None else call.argument(0, "input"))
    inside = [place for place in tested if place.path == call.place.path and _within(place, call.place)]
    if call.name == "Gradient.__setitem__" and inside:
        return "gradient"
    if call.name == "torch.where" and inside and len(call.arguments) == 3:
        return next((what for what in map(_what, call.arguments[1:]) if what is not None), None)
    return None


def _within(inner: Place, outer: Place) -> bool:
    return outer.at[:2] <= inner.at[:2] and inner.at[2:] <= outer.at[2:]


def _calls(test: code.Expr) -> set[code.Span]:
    return {node.at for node in code.walk(test) if type(node) is code.Call and node.at is not None}


def _skips(node: code.If) -> bool:
    """Whether the arm for what is not finite leaves the round without a word, or the other arm does the update."""
    names = {found.name for found in code.walk(node.test) if type(found) in (code.Name, code.Attribute)}
    finite = "isfinite" in names and not any(type(n) is code.Unary and n.op == "not" for n in code.walk(node.test))
    if not names & _TESTS:
        return False
    bad, good = (node.orelse, node.body) if finite else (node.body, node.orelse)
    if not all(map(_silent, bad)):
        return False
    leaves = any(type(statement) is code.Jump and statement.kind == "continue" for statement in bad) or any(
        type(statement) is code.Return and statement.value is None for statement in bad
    )
    updates = {found.name for found in code.walk(good) if type(found) is code.Attribute} & {"step", "backward"}
    return leaves or bool(updates)


def _silent(statement: code.Stmt) -> bool:
    if type(statement) is code.Evaluate:
        call = statement.value
        return type(call) is code.Call and type(call.func) is code.Attribute and call.func.name in _QUIET_CALLS
    if type(statement) is code.Jump:
        return statement.kind == "continue"
    return type(statement) is code.Delete or (type(statement) is code.Return and statement.value is None)


def _finding(place: Place, what: str, treatment: str) -> Finding:
    return Finding("hidden-nan", place.path, Range(*place.at), {"what": what, "treatment": treatment})
