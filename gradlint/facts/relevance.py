"""Which top-level statements can matter: the gate on a parsed file.

A definition matters if it mentions something training code is made of, or if one that matters mentions its name.
Imports and short plain statements always matter: constants, configuration and the calls that tie everything together.
"""

from __future__ import annotations

import ast
import re

_TRAINING = re.compile(
    r"backward|zero_grad|\.step\b|\bnn\.|Module\b|optim|Loss|\bloss|_loss\b|cross_entropy|no_grad|requires_grad|require_grad"
    r"|clip_grad|\.grad\b|autograd|Parameter\b|softmax|sigmoid|dropout|DataLoader|Trainer|state_dict|GradScaler|lr_sched"
    r"|\.eval\b|\.train\b|init\.|Sequential|Linear\b|parameters\(|gradlint"
    r"|read_image|imread|Image\.open"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_LONG = 60


def relevant(tree: ast.Module, lines: list[str]) -> list[int]:
    """Indices of the top-level statements that can matter, in order."""
    definitions: dict[str, list[int]] = {}
    wanted = [False] * len(tree.body)
    queue: list[int] = []
    for index, node in enumerate(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            definitions.setdefault(node.name, []).append(index)
            if _TRAINING.search(_text(node, lines)):
                queue.append(index)
        elif not _is_data(node):
            queue.append(index)
    while queue:
        index = queue.pop()
        if wanted[index]:
            continue
        wanted[index] = True
        if definitions:
            for word in set(_WORD.findall(_text(tree.body[index], lines))) & definitions.keys():
                queue.extend(definitions[word])
    return [index for index, keep in enumerate(wanted) if keep]


def _text(node: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(node, "decorator_list", None)
    first = min(node.lineno, decorators[0].lineno) if decorators else node.lineno
    return "\n".join(lines[first - 1 : node.end_lineno])


def _is_data(node: ast.stmt) -> bool:
    """A long table of constants or a docstring: nothing in it can be a model, an optimizer or a setting."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    long = (node.end_lineno or node.lineno) - node.lineno > _LONG
    return (
        long and isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Dict, ast.Tuple, ast.Constant))
    )
