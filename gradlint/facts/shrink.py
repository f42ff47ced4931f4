"""Long tables of constants, left out: nothing in them can be a model, an optimizer or a setting.

A display of more than `TABLE` items, a string of more than `STRING` characters, or a chain of more than `CHAIN` calls
or operations, is read as None. Without this a file with a 5 MB literal costs a minute and gigabytes, and a chain costs
by the square of its length; the bounds are far above any list of layers or options.
"""

from __future__ import annotations

import ast

TABLE = 2_000
STRING = 20_000
CHAIN = 400
LONG_FILE = 60_000
"""Characters below which a file is not searched, if it has no such line either:"""
LONG_LINE = 1_000


def shrink(tree: ast.Module, text: str, lines: list[str]) -> list[str]:
    """`lines` with every long table replaced by None on its first line; the nodes of `tree` are replaced alike."""
    if len(text) < LONG_FILE and max(map(len, lines), default=0) < LONG_LINE:
        return lines
    finder = _Finder()
    finder.visit(tree)
    if not finder.found:
        return lines
    result = list(lines)
    for node in sorted(finder.found, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before = result[first].encode()[: node.col_offset].decode()
        after = result[last].encode()[node.end_col_offset :].decode()
        result[first] = f"{before}None{after}"
        for index in range(first + 1, last + 1):
            result[index] = ""
    return result


class _Finder(ast.NodeTransformer):
    """Replaces long tables by None in the tree and remembers where they stood."""

    def __init__(self) -> None:
        self.found: list[ast.expr] = []

    def visit(self, node: ast.AST) -> ast.AST:
        if _short(node):
            return node
        if _long(node):
            assert isinstance(node, ast.expr)
            self.found.append(node)
            return ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)


def _short(node: ast.AST) -> bool:
    """Whether an expression has fewer characters than the shortest chain, in which each link takes two."""
    if not isinstance(node, ast.expr) or node.end_lineno != node.lineno or node.end_col_offset is None:
        return False
    return node.end_col_offset - node.col_offset < 2 * CHAIN


def _long(node: ast.AST) -> bool:
    links = 0
    link = node
    while isinstance(link, (ast.BinOp, ast.Call, ast.Attribute, ast.Subscript)):
        links += 1
        link = link.left if isinstance(link, ast.BinOp) else link.func if isinstance(link, ast.Call) else link.value
    if links > CHAIN:
        return True
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return len(node.elts) > TABLE
    if isinstance(node, ast.Dict):
        return len(node.values) > TABLE
    if isinstance(node, ast.Call):
        return len(node.args) + len(node.keywords) > TABLE
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and len(node.value) > STRING
