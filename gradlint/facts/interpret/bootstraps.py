"""Targets and advantages that a network computes for itself, as reinforcement learning writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.model import Bootstrap
from gradlint.facts.roles import last_name, role
from gradlint.facts.values import Collection, Place, Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_REWARD = re.compile(r"^r$|^rs$|rew", re.IGNORECASE)
_ADVANTAGE = re.compile(r"^adv|advantage|td_err|^delta", re.IGNORECASE)
_TARGET = re.compile(r"target|(^|_)targ(_|\d|$)|_tgt|tgt_|teacher|shadow|(^|_)ema(_|$)", re.IGNORECASE)


def note(it: Interpreter, op: str, left: Value, right: Value, result: Tensor, place: Place) -> None:
    """`reward + gamma * value(next)` and `log_prob * advantage` are kept as facts."""
    for one, other in ((left, right), (right, left)):
        if not isinstance(other, Tensor):
            continue
        if op == "+" and _reward(it, one):
            _keep(it, Bootstrap("target", result, other, "", place))
        elif op == "*" and isinstance(one, Tensor) and one.attribute == "log_prob" and other.roots:
            name = last_name(it.facts.names.get(id(other), other.hint))
            if _ADVANTAGE.search(name):
                _keep(it, Bootstrap("advantage", other, one, name, place))


def _reward(it: Interpreter, value: Value) -> bool:
    if not isinstance(value, (Unknown, Tensor)) or (isinstance(value, Tensor) and value.roots):
        return False
    return bool(_REWARD.search(last_name(it.facts.names.get(id(value), value.hint))))


def alias(it: Interpreter, node: code.Assign, value: Value) -> None:
    """`target_net = q_net`: a second name for the same network; `a, b = x, y` are two of them."""
    target = node.targets[0]
    if isinstance(target, code.Sequence) and isinstance(node.value, code.Sequence) and isinstance(value, Collection):
        if len(target.items) == len(node.value.items) == len(value.items):
            for name, expr, item in zip(target.items, node.value.items, value.items, strict=True):
                _alias(it, name, expr, item, node)
    else:
        _alias(it, target, node.value, value, node)


def _alias(it: Interpreter, target: code.Expr, expr: code.Expr, value: Value, node: code.Assign) -> None:
    if not isinstance(expr, (code.Name, code.Attribute)) or not isinstance(target, (code.Name, code.Attribute)):
        return
    if role(value) == "module" and _TARGET.search(target.name) and not _TARGET.search(expr.name):
        _keep(it, Bootstrap("alias", None, value, target.name, it.place(node.at)))


def _keep(it: Interpreter, found: Bootstrap) -> None:
    if it.once("bootstrap", found.kind, found.place):
        it.facts.bootstraps.append(found)
