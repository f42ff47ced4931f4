"""A loop script as statements with roles, and edits of its lines that remember where each line came from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LOOPS = Path(__file__).parent / "loops"
SCHEDULER = re.compile(r"sched|noam", re.IGNORECASE)
NO_OPTIMIZER = re.compile(r"\benv\b|\bengine\b")


@dataclass(frozen=True)
class Mutant:
    """One changed script. `line` is the original line of the statement it is about, `lines` maps original to new."""

    script: str
    operator: str
    line: int
    text: str
    lines: dict[int, int] = field(hash=False)

    @property
    def identity(self) -> str:
        """`operator@line`, the key in `expected.toml`."""
        return f"{self.operator}@{self.line}"


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement, its role (or None), the block it stands in and the nodes around it, innermost first."""

    node: ast.stmt
    role: str | None
    block: list[ast.stmt]
    around: tuple[ast.AST, ...]

    @property
    def line(self) -> int:
        """Original first line."""
        return self.node.lineno

    @property
    def loop(self) -> ast.For | ast.While | None:
        """The innermost loop of the same function."""
        for node in self.around:
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                return None
            if isinstance(node, (ast.For, ast.While)):
                return node
        return None

    @property
    def scope(self) -> ast.AST:
        """The function or module it belongs to."""
        return next(node for node in self.around if isinstance(node, (ast.FunctionDef, ast.Module)))


class Script:
    """The text of one file of `loops/`."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.statements = list(_statements(self.tree.body, (self.tree,)))

    def having(self, *roles: str) -> list[Statement]:
        """Statements of these roles, in order."""
        return [s for s in self.statements if s.role in roles]

    def segment(self, node: ast.AST) -> str:
        """The source text of `node`."""
        return ast.get_source_segment(self.text, node) or ""

    def edit(self) -> Edit:
        """A fresh set of edits."""
        return Edit(self)

    def nodes(self, kind: type[ast.AST]) -> Iterator[ast.AST]:
        """Every node of this kind, in order of position."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, kind)]
        return iter(sorted(found, key=lambda node: (node.lineno, node.col_offset)))  # type: ignore[attr-defined]


class Edit:
    """Whole-line deletions, moves and insertions, and replacements inside lines."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.lines: list[tuple[int, str]] = list(enumerate(script.text.splitlines(), start=1))

    def _index(self, origin: int | None) -> int:
        return next(i for i, (number, _) in enumerate(self.lines) if number == origin)

    def _start(self, node: ast.stmt) -> int:
        return self._index(min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]))

    def _span(self, node: ast.stmt) -> tuple[int, int]:
        return self._start(node), self._index(node.end_lineno) + 1

    def delete(self, statement: Statement) -> Edit:
        """Delete the statement; `pass` stays where its block would be empty."""
        start, end = self._span(statement.node)
        origin, text = self.lines[start]
        indent = text[: len(text) - len(text.lstrip())]
        self.lines[start:end] = [(origin, indent + "pass")] if len(statement.block) == 1 else []
        return self

    def move(self, statement: Statement, target: ast.stmt, *, after: bool = False) -> Edit:
        """Move the statement before (or after) `target`, at the target's indentation."""
        start, end = self._span(statement.node)
        where = self._span(target)[1] if after else self._start(target)
        shift = target.col_offset - statement.node.col_offset
        chunk = [(origin, _indent(text, shift)) for origin, text in self.lines[start:end]]
        if where > start:
            self.lines[where:where] = chunk
            self.delete(statement)
        else:
            self.delete(statement)
            self.lines[where:where] = chunk
        return self

    def insert(self, target: ast.stmt, text: str, *, after: bool = False) -> Edit:
        """Insert lines at the target's indentation; their origin is the target's line."""
        where = self._span(target)[1] if after else self._start(target)
        self.lines[where:where] = [(-target.lineno, " " * target.col_offset + line) for line in text.splitlines()]
        return self

    def replace(self, node: ast.AST, text: str) -> Edit:
        """Replace the source of an expression or statement by text, whose lines are mapped one by one."""
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = self._span(node)  # type: ignore[arg-type]
        head = self.lines[start][1].encode()[: node.col_offset].decode()
        tail = self.lines[end - 1][1].encode()[node.end_col_offset :].decode()
        new = (head + text + tail).split("\n")
        self.lines[start:end] = [(node.lineno + offset, line) for offset, line in enumerate(new)]
        return self

    def shift(self, nodes: list[ast.stmt], spaces: int) -> Edit:
        """Indent (or dedent) whole statements."""
        for node in nodes:
            start, end = self._span(node)
            self.lines[start:end] = [(origin, _indent(text, spaces)) for origin, text in self.lines[start:end]]
        return self

    def drop_line(self, origin: int) -> Edit:
        """Delete one line by its original number."""
        self.lines = [line for line in self.lines if line[0] != origin]
        return self

    def mutant(self, operator: str, line: int) -> Mutant:
        """The result; inserted lines are mapped as minus their target's."""
        where = {origin: number for number, (origin, _) in reversed(list(enumerate(self.lines, start=1)))}
        text = "\n".join(text for _, text in self.lines) + "\n"
        return Mutant(self.script.name, operator, line, text, where)


def _indent(text: str, spaces: int) -> str:
    if not text.strip():
        return text
    return " " * spaces + text if spaces >= 0 else text[-spaces:]


def call_of(node: ast.stmt) -> ast.Call | None:
    """The call that a statement consists of, or assigns to one name."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return node.value
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
        return node.value
    return None


def _role(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Assign) and ast.unparse(node).endswith(".grad = None"):
        return "clear"
    if isinstance(node, (ast.For, ast.With)) and len(node.body) == 1:
        inner = _role(node.body[0])
        lifted = isinstance(node, ast.For) and inner in ("clear", "step") and _root(node.body[0]) == _names(node.target)
        scaled = isinstance(node, ast.With) and inner == "backward"
        return inner if lifted or scaled else None
    call = call_of(node)
    if call is None or not isinstance(call.func, ast.Attribute):
        return "clip" if call is not None and "clip_grad" in ast.unparse(call.func) else None
    receiver, name = ast.unparse(call.func.value), call.func.attr
    if name.endswith("zero_grad") or (name == "zero_" and receiver.endswith(".grad")):
        return "clear"
    if name == "backward":
        return "backward"
    if name in ("step", "optimizer_step"):
        if SCHEDULER.search(receiver):
            return "scheduler"
        return None if NO_OPTIMIZER.search(receiver) else "step"
    if "clip_grad" in name:
        return "clip"
    return {"unscale_": "unscale", "eval": "eval", "train": "train", "set_epoch": "set_epoch"}.get(name) or (
        "update" if name == "update" and "scaler" in receiver else None
    )


def _root(node: ast.stmt) -> set[str]:
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return set(names[:1])


def _names(target: ast.expr) -> set[str]:
    return {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}


def _statements(block: list[ast.stmt], around: tuple[ast.AST, ...]) -> Iterator[Statement]:
    for node in block:
        role = _role(node)
        yield Statement(node, role, block, around)
        if role is not None:
            continue
        for inner in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(node, inner, []), (node, *around))
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body, (handler, node, *around))


def load_scripts() -> list[Script]:
    """Every script of `loops/`, by name."""
    return [Script(path) for path in sorted(LOOPS.glob("*.py"))]


def assignment_before(script: Script, backward: Statement) -> tuple[Statement, ast.Call] | None:
    """The `loss = f(…)` in the block of a plain `loss.backward()`."""
    for statement in script.statements:
        node = statement.node
        if statement.block is backward.block and isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name = script.segment(node.targets[0])
            if re.search(rf"\b{re.escape(name)}\b", script.segment(backward.node)) and node.value.args:
                return statement, node.value
    return None
