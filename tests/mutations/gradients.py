"""Mutations of the way from the parameters to the loss: cut, frozen, doubled, squashed or badly started."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mutations.script import Mutant, Script, Statement, assignment_before, call_of

OPTIMIZER = re.compile(r"\w+ = (?:torch\.)?optim\.\w+\((\w+(?:\.\w+)*)\.parameters\(\)")
LOSS = re.compile(r"cross_entropy|CrossEntropyLoss|with_logits|WithLogitsLoss|mse_loss|MSELoss|smooth_l1_loss")
TEXT_OPERATORS = {
    "plain-rnn": (r"nn\.(?:GRU|LSTM)\(", "nn.RNN("),
    "mse-on-classes": (
        r"(F|nn\.functional)\.cross_entropy\(([\w.]+), ([\w.]+)\)",
        r"\1.mse_loss(torch.softmax(\2, dim=1), \1.one_hot(\3).float())",
    ),
    "drop-apply": (r"^( *)(?:self|net|model)\.apply\(.*\)$", r"\1pass"),
    "bypass-ddp": (r"(?<= )(ddp_model|model)\((?=\w+\)$)", r"\1.module("),
}


def mutants(script: Script) -> Iterator[Mutant]:
    """Every mutant of the script on the gradient's way."""
    for operator, (pattern, replacement) in TEXT_OPERATORS.items():
        if operator != "bypass-ddp" or "DistributedDataParallel" in script.text:
            yield from _by_text(script, operator, re.compile(pattern), replacement)
    yield from _loss_argument(script, "hard-output", "(({}) > 0).float()")
    yield from _loss_argument(script, "clamp-output", "({}).clamp(-1.0, 1.0)")
    yield from _numpy_forward(script)
    yield from _relu_output(script)
    yield from _freeze_all(script)
    yield from _second_optimizer(script)


def _by_text(script: Script, operator: str, pattern: re.Pattern[str], replacement: str) -> Iterator[Mutant]:
    for number, line in enumerate(script.text.splitlines(), start=1):
        changed = pattern.sub(replacement, line)
        if changed != line:
            edit = script.edit()
            edit.lines[number - 1] = (number, changed)
            yield edit.mutant(operator, number)


def _loss_argument(script: Script, operator: str, form: str) -> Iterator[Mutant]:
    for backward in script.having("backward"):
        found = assignment_before(script, backward)
        if found is not None and not isinstance(found[1].args[0], ast.GeneratorExp):
            first = found[1].args[0]
            edit = script.edit().replace(first, form.format(script.segment(first)))
            yield edit.mutant(operator, found[0].line)


def _outputs(script: Script) -> Iterator[ast.expr]:
    """What the forwards return, where that is one tensor."""
    for node in script.nodes(ast.FunctionDef):
        assert isinstance(node, ast.FunctionDef)
        last = node.body[-1]
        if node.name == "forward" and isinstance(last, ast.Return) and isinstance(last.value, (ast.Call, ast.BinOp)):
            yield last.value


def _numpy_forward(script: Script) -> Iterator[Mutant]:
    first = script.tree.body[0]
    for value in _outputs(script):
        text = f"torch.from_numpy(np.tanh(({script.segment(value)}).detach().numpy()))"
        edit = script.edit().replace(value, text).insert(first, "import numpy as np")
        yield edit.mutant("numpy-forward", value.lineno)


def _relu_output(script: Script) -> Iterator[Mutant]:
    if not LOSS.search(script.text):
        return
    outputs = list(_outputs(script))
    for value in outputs[-1:]:
        edit = script.edit().replace(value, f"({script.segment(value)}).relu()")
        yield edit.mutant("relu-output", value.lineno)
    if outputs:
        return
    for node in script.nodes(ast.Call):
        assert isinstance(node, ast.Call)
        if ast.unparse(node.func) == "nn.Sequential" and ast.unparse(node.args[-1]).startswith("nn.Linear("):
            last = node.args[-1]
            edit = script.edit().replace(last, f"{script.segment(last)}, nn.ReLU()")
            yield edit.mutant("relu-output", last.lineno)


def _built(script: Script) -> Iterator[tuple[Statement, str]]:
    """Statements that build an optimizer over the parameters of one module, and the module's name."""
    for statement in script.statements:
        match = OPTIMIZER.match(script.segment(statement.node))
        if match and call_of(statement.node) is not None:
            yield statement, match[1]


def _freeze_all(script: Script) -> Iterator[Mutant]:
    for statement, module in _built(script):
        edit = script.edit().insert(statement.node, f"{module}.requires_grad_(False)")
        yield edit.mutant("freeze-all", statement.line)


def _second_optimizer(script: Script) -> Iterator[Mutant]:
    for statement, module in _built(script):
        name = script.segment(statement.node).split(" = ")[0]
        steps = [s for s in script.having("step") if script.segment(s.node) == f"{name}.step()"]
        if len(steps) == 1 and steps[0].scope is statement.scope:
            edit = script.edit().insert(steps[0].node, "second.step()", after=True)
            edit.insert(statement.node, f"second = torch.optim.Adam({module}.parameters())", after=True)
            yield edit.mutant("second-optimizer", statement.line)
