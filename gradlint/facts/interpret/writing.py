"""How the code writes things: the spelling of an expression, and the names that a piece of code mentions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gradlint.facts import code
from gradlint.facts.code import Expr

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def text_of(expr: Expr | None, depth: int = 12) -> str:
    """A short spelling of an expression, for messages and as the hint of unknown values; what lies deeper is `…`."""
    spell = _SPELT.get(type(expr)) if depth else None
    return spell(expr, depth - 1) if spell is not None else "…"


def _texts(exprs: Iterable[Expr], depth: int, between: str = ", ") -> str:
    return between.join([text_of(expr, depth) for expr in exprs])


_SPELT: dict[type, Callable[[Any, int], str]] = {
    code.Name: lambda expr, depth: expr.name,
    code.Attribute: lambda expr, depth: f"{text_of(expr.base, depth)}.{expr.name}",
    code.Call: lambda expr, depth: (
        f"{text_of(expr.func, depth)}({_texts([argument.value for argument in expr.arguments[:3]], depth)})"
    ),
    code.Subscript: lambda expr, depth: f"{text_of(expr.base, depth)}[{_texts(expr.index, depth)}]",
    code.Literal: lambda expr, depth: repr(expr.value),
    code.Binary: lambda expr, depth: f"{text_of(expr.left, depth)} {expr.op} {text_of(expr.right, depth)}",
    code.Compare: lambda expr, depth: (
        text_of(expr.left, depth) + "".join([f" {op} {text_of(right, depth)}" for op, right in expr.rest])
    ),
    code.Unary: lambda expr, depth: f"{expr.op} {text_of(expr.value, depth)}",
    code.Logic: lambda expr, depth: _texts(expr.values, depth, f" {expr.op} "),
}


def attribute_names(body: Any) -> set[str]:
    """All attribute names and plain names that a piece of code mentions."""
    return mentioned(code.walk(body))


def mentioned(nodes: Iterable[Any]) -> set[str]:
    """The attribute names and plain names among some nodes."""
    return {node.name for node in nodes if type(node) is code.Name or type(node) is code.Attribute}


def names_read(nodes: Iterable[Any]) -> set[str]:
    """The attributes that a piece of code reads, and the functions it calls by name."""
    bound: set[int] = set()
    found: set[str] = set()
    reads: list[code.Attribute] = []
    for node in nodes:
        if type(node) is code.Assign:
            bound.update(id(target) for target in node.targets)
        elif type(node) is code.Attribute:
            reads.append(node)
        elif type(node) is code.Call and type(node.func) is code.Name:
            found.add(node.func.name)
    return found | {node.name for node in reads if id(node) not in bound}


def uses_by_name(nodes: Iterable[Any]) -> dict[str, frozenset[str]]:
    """Which methods the code calls on each name or attribute, whatever object has it."""
    uses: dict[str, set[str]] = {}
    for node in nodes:
        if type(node) is code.Call and type(node.func) is code.Attribute:
            base = node.func.base
            while type(base) is code.Subscript:
                base = base.base
            if type(base) is code.Name or type(base) is code.Attribute:
                uses.setdefault(base.name, set()).add(node.func.name)
    return {key: frozenset(value) for key, value in uses.items()}


def method_uses(nodes: Iterable[Any]) -> dict[str, frozenset[str]]:
    """Which methods the code calls on each plain name or attribute path."""
    uses: dict[str, set[str]] = {}
    for node in nodes:
        if type(node) is code.Call and type(node.func) is code.Attribute:
            uses.setdefault(text_of(node.func.base), set()).add(node.func.name)
    return {key: frozenset(value) for key, value in uses.items()}


def uses_of(it: Interpreter, path: str) -> frozenset[str]:
    """Methods called on `path` in the function being run."""
    return uses_in(it, it.frame.node).get(path, frozenset())


def uses_in(it: Interpreter, node: Any) -> dict[str, frozenset[str]]:
    """`method_uses` of a function, looked up once."""
    if node is None:
        return {}
    table = it.uses.get(id(node))
    if table is None:
        table = it.uses[id(node)] = method_uses(it.below(node))
    return table
