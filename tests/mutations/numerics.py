"""Mutations of guarded numerics: what keeps a value away from 0 or from overflow goes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from mutations.families import _by_text
from mutations.script import Mutant, Script

_EPS = r" \+ (?:self\.eps|eps|EPS|1e-\d)\)"


def _in_two_steps(match: re.Match[str]) -> str:
    if match["method"]:
        return f".softmax({match['method']}).log()"
    if match["scores"]:
        return f"torch.log(torch.sigmoid({match['scores']}))"
    return f"torch.log(F.softmax({match['softmax']}))"


def _without_limits(match: re.Match[str]) -> str:
    return match["rest"] or ""


def _exponentials(match: re.Match[str]) -> str:
    if match["softmax"]:
        return f"(torch.exp({match['softmax']}) / torch.exp({match['softmax']}).sum({match['dim']}, keepdim=True))"
    if match["scores"]:
        return f"torch.log(torch.exp({match['scores']}).sum(dim=1))"
    return ".exp().sum(dim=1).log()"


OPERATORS: dict[str, tuple[str, str | Callable[[re.Match[str]], str]]] = {
    "two-step-log": (
        r"F\.log_softmax\((?P<softmax>[^,]+, (?:dim=)?-?1)\)|F\.logsigmoid\((?P<scores>[^()]+)\)"
        r"|\.log_softmax\((?P<method>-1)\)",
        _in_two_steps,
    ),
    "drop-log-guard": (rf"(torch\.log(?:10)?\([^+]+?){_EPS}", r"\1)"),
    "drop-log-clamp": (
        r"(?:\.clamp(?:_min)?\((?:min=)?1e-8\)| \+ eps(?=\)\.log))(?P<rest>\)?\.log\(\))",
        _without_limits,
    ),
    "drop-root-guard": (rf"(torch\.sqrt\(.+?){_EPS}", r"\1)"),
    "drop-slope-guard": (
        r"(?: \+ 1e-8)(?P<rest>\)\.sqrt\(\)|\) \*\* 0\.5)|\.clamp\(-1 \+ eps, 1 - eps\)",
        _without_limits,
    ),
    "norm-by-hand": (r"F\.normalize\((\w+), (dim=1)\)", r"\1 / \1.norm(\2, keepdim=True)"),
    "bare-branch": (r"^( +safe_\w+ = )torch\.where\(\w+, (\w+), .*\)$", r"\1\2"),
    "sum-of-exponentials": (
        r"(?<!\.)F\.softmax\((?P<softmax>[\w. /()]+?), (?P<dim>dim=-?1)\)"
        r"|torch\.logsumexp\((?P<scores>\w+), dim=1\)|\.logsumexp\(dim=1\)",
        _exponentials,
    ),
    "drop-max-shift": (r"(\bscores) - (?:scores\.max\(.*?\)\.values|top\b)", r"\1"),
}


def mutants(script: Script) -> Iterator[Mutant]:
    """Every mutant of the script that takes a guard away or gives a classifier a single unit."""
    for operator, (pattern, replacement) in OPERATORS.items():
        yield from _by_text(script, operator, re.compile(pattern), replacement)
    yield from _single_unit(script)


def _single_unit(script: Script) -> Iterator[Mutant]:
    """The last layer of a classifier gets one unit."""
    layers = [
        node
        for node in script.nodes(ast.Call)
        if isinstance(node, ast.Call) and re.fullmatch(r"(torch\.)?nn\.Linear\(.*(?<!, 1)\)", ast.unparse(node))
    ]
    if re.search(r"(?<!binary_)cross_entropy\(|CrossEntropyLoss", script.text) and layers:
        edit = script.edit().replace(layers[-1].args[1], "1")
        yield edit.mutant("single-unit", layers[-1].lineno)
