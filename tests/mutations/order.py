"""Mutations of the loop's order: clear, backward, clip, step, scheduler and scaler deleted, moved or left uncalled."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mutations.script import Mutant, Script, Statement

DELETED = {
    "clear": "delete-clear",
    "step": "delete-step",
    "backward": "delete-backward",
    "scheduler": "delete-scheduler",
    "clip": "delete-clip",
    "unscale": "delete-unscale",
    "update": "delete-update",
}


def mutants(script: Script) -> Iterator[Mutant]:
    """Every order mutant of the script."""
    for role, operator in DELETED.items():
        for statement in script.having(role):
            yield script.edit().delete(statement).mutant(operator, statement.line)
    yield from _clear_to_outer(script)
    yield from _moved(script, "clear-before-step", "clear", "step")
    yield from _moved(script, "step-before-backward", "step", "backward")
    yield from _moved(script, "clip-before-backward", "clip", "backward")
    yield from _moved(script, "clip-after-step", "clip", "step", after=True)
    yield from _scheduler_first(script)
    yield from _uncall(script)
    yield from _unscaled(script)


def _nearest(script: Script, statement: Statement, role: str) -> Statement | None:
    same = [s for s in script.having(role) if s.block is statement.block]
    return min(same, key=lambda s: abs(s.line - statement.line), default=None)


def _moved(script: Script, operator: str, role: str, to: str, *, after: bool = False) -> Iterator[Mutant]:
    for statement in script.having(role):
        target = _nearest(script, statement, to)
        if target is None:
            continue
        edit = script.edit().move(statement, target.node, after=after)
        mutant = edit.mutant(operator, statement.line)
        if mutant.text != script.text:
            yield mutant


def _clear_to_outer(script: Script) -> Iterator[Mutant]:
    for statement in script.having("clear"):
        loop = statement.loop
        if loop is not None:
            yield script.edit().move(statement, loop).mutant("clear-to-outer", statement.line)


def _scheduler_first(script: Script) -> Iterator[Mutant]:
    for statement in script.having("scheduler"):
        step = _nearest(script, statement, "step")
        loop = statement.loop
        if step is not None:
            yield script.edit().move(statement, step.node).mutant("scheduler-first", statement.line)
        elif loop is not None and loop.body is statement.block:
            yield script.edit().move(statement, loop.body[0]).mutant("scheduler-first", statement.line)


def _uncall(script: Script) -> Iterator[Mutant]:
    for statement in script.having("clear", "step", "backward", "eval", "train", "scheduler"):
        node = statement.node
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and not node.value.args
            and not node.value.keywords
        ):
            yield script.edit().replace(node, script.segment(node.value.func)).mutant("uncall", statement.line)


def _unscaled(script: Script) -> Iterator[Mutant]:
    for statement in script.having("backward", "step"):
        node = statement.node
        text = script.segment(node)
        if text.startswith("scaler.scale("):
            loss = text.removeprefix("scaler.scale(").removesuffix(").backward()")
            yield script.edit().replace(node, f"{loss}.backward()").mutant("unscaled-backward", statement.line)
        elif text.startswith("scaler.step("):
            optimizer = text.removeprefix("scaler.step(").removesuffix(")")
            yield script.edit().replace(node, f"{optimizer}.step()").mutant("unscaled-step", statement.line)
