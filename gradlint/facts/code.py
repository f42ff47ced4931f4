"""The program as plain data: what the single pass over the syntax tree keeps of a file.

Every node is a small record without syntax objects, so a file's `Program` can be cached and interpreted again when
another file changes. `at` is `(line, column, end_line, end_column)`, 1-based, end exclusive, or None where no position
was kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gradlint.facts.record import fields_of, record

Span = tuple[int, int, int, int]


@record
class Literal:
    """A constant: number, string, bool, None; `value` is Ellipsis-free and None for None."""

    value: bool | int | float | str | None
    at: Span | None


@record
class Name:
    name: str
    at: Span | None


@record
class Attribute:
    base: Expr
    name: str
    at: Span | None


@record
class Argument:
    """One argument of a call: positional, `name=value`, `*value` (star "*") or `**value` (star "**"); `at` spans a
    keyword.
    """

    name: str | None
    value: Expr
    star: str
    at: Span | None = None


@record
class Call:
    func: Expr
    arguments: list[Argument]
    at: Span | None


@record
class Subscript:
    base: Expr
    index: list[Expr]
    at: Span | None


@record
class Slice:
    lower: Expr | None
    upper: Expr | None
    step: Expr | None


@record
class Binary:
    op: str
    left: Expr
    right: Expr
    at: Span | None


@record
class Unary:
    op: str
    value: Expr


@record
class Compare:
    left: Expr
    rest: list[tuple[str, Expr]]


@record
class Logic:
    """`and` / `or` over its values."""

    op: str
    values: list[Expr]


@record
class Conditional:
    test: Expr
    body: Expr
    orelse: Expr


@record
class Sequence:
    """A tuple, list or set display; `kind` says which."""

    kind: str
    items: list[Expr]
    at: Span | None


@record
class Star:
    value: Expr


@record
class DictDisplay:
    """Items of a dict display; a None key is `**value`."""

    items: list[tuple[Expr | None, Expr]]


@record
class Generator:
    target: Expr
    iterable: Expr
    conditions: list[Expr]


@record
class Comprehension:
    """`kind` is list, set, generator or dict (then `key` is set)."""

    kind: str
    key: Expr | None
    element: Expr
    generators: list[Generator]
    at: Span | None


@record
class Lambda:
    parameters: list[Parameter]
    body: Expr
    at: Span | None


@record
class Walrus:
    name: str
    value: Expr


@record
class Other:
    """An expression whose value is not modelled; its parts are still evaluated for their effects."""

    kind: str
    parts: list[Expr]


Expr = (
    Literal | Name | Attribute | Call | Subscript | Slice | Binary | Unary | Compare | Logic | Conditional |
    Sequence | Star | DictDisplay | Comprehension | Lambda | Walrus | Other
)  # fmt: skip


@record
class Parameter:
    """`star` is "" , "*" or "**"; `kind` is "plain", "keyword" (keyword-only)."""

    name: str
    default: Expr | None
    annotation: Expr | None
    star: str
    keyword_only: bool


@record
class Evaluate:
    value: Expr
    at: Span


@record
class Assign:
    targets: list[Expr]
    value: Expr
    at: Span


@record
class Annotated:
    target: Expr
    annotation: Expr
    value: Expr | None
    at: Span


@record
class Augmented:
    target: Expr
    op: str
    value: Expr
    at: Span


@record
class If:
    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]
    at: Span


@record
class For:
    target: Expr
    iterable: Expr
    body: list[Stmt]
    orelse: list[Stmt]
    at: Span


@record
class While:
    test: Expr
    body: list[Stmt]
    orelse: list[Stmt]
    at: Span


@record
class With:
    items: list[tuple[Expr, Expr | None]]
    body: list[Stmt]
    at: Span


@record
class Try:
    body: list[Stmt]
    handlers: list[list[Stmt]]
    orelse: list[Stmt]
    final: list[Stmt]
    at: Span


@record
class Match:
    subject: Expr
    cases: list[list[Stmt]]
    at: Span


@record
class Function:
    name: str
    parameters: list[Parameter]
    decorators: list[Expr]
    body: list[Stmt]
    at: Span


@record
class Class:
    name: str
    bases: list[Expr]
    decorators: list[Expr]
    body: list[Stmt]
    at: Span
    metaclass: str = ""


@record
class Return:
    value: Expr | None
    at: Span


@record
class Jump:
    """`break`, `continue` or `raise`; a raise keeps the expression for its effects."""

    kind: str
    value: Expr | None
    at: Span


@record
class Delete:
    targets: list[Expr]
    at: Span


@record
class Assert:
    test: Expr
    at: Span


@record
class Import:
    """`import a.b as c`: `names` holds (dotted name, bound name or None)."""

    names: list[tuple[str, str | None]]
    at: Span


@record
class ImportFrom:
    """`from ..a import b as c`: `level` counts the dots; a name `*` imports everything; `spans` are of the `b`s."""

    module: str
    level: int
    names: list[tuple[str, str | None]]
    at: Span
    spans: list[Span]


@record
class Scoped:
    """`global` / `nonlocal`."""

    kind: str
    names: list[str]
    at: Span


Stmt = (
    Evaluate | Assign | Annotated | Augmented | If | For | While | With | Try | Match | Function | Class | Return |
    Jump | Delete | Assert | Import | ImportFrom | Scoped
)  # fmt: skip


@record
class Program:
    """One file, lowered: its top-level statements in order."""

    path: str
    body: list[Stmt]


_NODES: tuple[type, ...] = (
    Literal, Name, Attribute, Argument, Call, Subscript, Slice, Binary, Unary, Compare, Logic, Conditional, Sequence,
    Star, DictDisplay, Generator, Comprehension, Lambda, Walrus, Other, Parameter, Evaluate, Assign, Annotated,
    Augmented, If, For, While, With, Try, Match, Function, Class, Return, Jump, Delete, Assert, Import, ImportFrom,
    Scoped, Program,
)  # fmt: skip
_PLAIN = frozenset({"at", "name", "op", "kind", "star", "level", "module", "names", "keyword_only", "path"})
_CHILDREN = {cls: tuple(name for name in fields_of(cls) if name not in _PLAIN) for cls in _NODES}


def walk(node: Any) -> Iterator[Any]:
    """A node, or a list of nodes, and everything below, in no particular order."""
    stack = [node]
    while stack:
        current = stack.pop()
        cls = type(current)
        if cls is list or cls is tuple:
            stack.extend(current)
            continue
        names = _CHILDREN.get(cls)
        if names is not None:
            yield current
            for name in names:
                child = getattr(current, name)
                if child is not None:
                    stack.append(child)
