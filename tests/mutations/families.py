"""Mutations beyond the loop's order, one small realistic mistake each."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from mutations.script import Edit, Mutant, Script, assignment_before, call_of

TEXT_OPERATORS: dict[str, tuple[str, str]] = {
    "requires-grad-typo": (r"\.requires_grad = False", ".require_grad = False"),
    "tensor-for-parameter": (r"nn\.Parameter\((.*)\)$", r"\1.requires_grad_(True)"),
    "list-for-container": (r"nn\.ModuleList\((?:\[(.*)\]|(.*))\)$|nn\.ModuleDict\((\{.*\})\)$", ""),
    "drop-scaling": (r" / (ACCUMULATE|micro_batches)$", ""),
    "wrong-parameters": (r"optim\.\w+\(student\.parameters", "optim.Adam(teacher.parameters"),
    "shallow-snapshot": (r"copy\.deepcopy\((\w+(?:\.\w+)?\.state_dict\(\))\)", r"\1"),
    "step-without-closure": (r"\.step\(closure\)", ".step()"),
    "unscaled-attention": (r" / math\.sqrt\(self\.dim\)", ""),
    "deprecated-clip": (r"(?<=utils\.)clip_grad_norm_\(", "clip_grad_norm("),
    "ineffective-clip": (r"(clip_grad_(?:norm|value)_\([\w.]+\(\), (?:max_norm=)?)[\d.]+\)", r"\g<1>1e6)"),
    "deprecated-init": (r"(kaiming_\w+)_\(", r"\1("),
    "zero-init": (r"nn\.init\.kaiming_\w+_\((module\.weight), .*\)$", r"nn.init.zeros_(\1)"),
    "default-init": (r"nn\.init\.kaiming_\w+_\(module\.weight, .*\)$", "pass"),
    "xavier-init": (r"nn\.init\.kaiming_\w+_\((module\.weight), .*\)$", r"nn.init.xavier_uniform_(\1)"),
    "wide-init": (r"nn\.init\.kaiming_\w+_\((module\.weight), .*\)$", r"nn.init.normal_(\1, std=1.0)"),
    "high-lr": (r"(lr\"?[=:] ?|\"--lr\", (?:type=float, )?default=)(\d[\d.]*(?:e-\d+)?)(?=[,)}])", ""),
    "zero-lr": (r"(lr\"?[=:] ?|\"--lr\", (?:type=float, )?default=)(\d[\d.]*(?:e-\d+)?)(?=[,)}])", r"\g<1>0.0"),
    "growing-gamma": (r"((?:gamma|factor)\"?[=:] ?)0\.\d+", r"\g<1>1.5"),
    "heavy-decay": (r"(weight_decay\"?[=:] ?)[\d.]+(?:e-\d+)?(?=[,)}])", r"\g<1>5.0"),
    "drop-log-softmax": (r"F\.log_softmax\(([\w.]+(?: / T)?), dim=1\)", r"\1"),
    "drop-sigmoid": (r"torch\.sigmoid\((self\.\w+\(h\))\)", r"\1"),
    "softmax-without-dim": (r"((?:log_)?softmax\([\w. /()]+?), dim=-?1\)", r"\1)"),
    "unreduced-loss": (
        r"nn\.(CrossEntropyLoss|MSELoss|BCEWithLogitsLoss|SmoothL1Loss)\(\)",
        r'nn.\1(reduction="none")',
    ),
    "fp16-mask": (r"torch\.finfo\([\w.]+\)\.min", "-1e9"),
    "fp16-eps": (r"(\+ |clamp\(min=)1e-4\)", r"\g<1>1e-8)"),
    "drop-squeeze": (r"\.squeeze\(-?1\)|\[\.\.\., 0\]|, keepdim=True", ""),
    "softmax-over-batch": (r"((?:log_softmax|LogSoftmax)\(.*?)dim=-?1\)", r"\g<1>dim=0)"),
    "logits-as-probabilities": (r"(Categorical|Bernoulli)\(logits=", r"\1("),
    "probabilities-as-logits": (r"(Categorical|Bernoulli)\(probs=", r"\1(logits="),
    "sample-for-rsample": (r"\.rsample\(\)", ".sample()"),
    "drop-training-flag": (r", training=self\.training\)", ")"),
    "drop-shuffle": (r", shuffle=True", ""),
    "drop-batch-first": (r"(nn\.(?:LSTM|GRU|TransformerEncoderLayer)\(.*), batch_first=True", r"\1"),
    "drop-activation": (
        r"(nn\.Linear\([^()]*\)), nn\.(?:ReLU|GELU|Tanh|SiLU|LeakyReLU|ELU)\([^()]*\), (?=nn\.Linear\()",
        r"\1, ",
    ),
    "keep-graph": (r"(\+= loss|append\(loss)\.(?:item|detach)\(\)", r"\1"),
    "bypass-framework": (r"(?:accelerator|fabric|engine)\.backward\((\w+)\)", r"\1.backward()"),
    "bypass-clipping": (r"accelerator\.clip_grad_norm_", "nn.utils.clip_grad_norm_"),
}


def mutants(script: Script) -> Iterator[Mutant]:
    """Every mutant of the script beyond the loop's order."""
    for operator, (pattern, replacement) in TEXT_OPERATORS.items():
        yield from _by_text(script, operator, re.compile(pattern), REWRITES.get(operator, replacement))
    for operation in (
        _cut_loss,
        _no_grad_forward,
        _drop_super,
        _retain_graph,
        _drop_hidden_detach,
        _manual_under_graph,
        _rebuild_optimizer,
        _replace_head,
        _cadence,
        _closure_without_return,
        _relu_to_sigmoid,
        _constant_weights,
        _squash_forward,
        _swap_arguments,
        _regress_classes,
        _modes,
        _drop_no_grad,
        _single_sample,
    ):
        yield from operation(script)


def _times_thousand(match: re.Match[str]) -> str:
    return f"{match[1]}{float(match[2]) * 1000:g}"


def _plain_container(match: re.Match[str]) -> str:
    return match[3] or f"[{match[1] or match[2]}]"


REWRITES: dict[str, Callable[[re.Match[str]], str]] = {
    "high-lr": _times_thousand,
    "list-for-container": _plain_container,
}


def _by_text(
    script: Script, operator: str, pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str]
) -> Iterator[Mutant]:
    for number, line in enumerate(script.text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            continue
        changed = pattern.sub(replacement, line)
        if changed != line:
            edit = script.edit()
            edit.lines[number - 1] = (number, changed)
            yield edit.mutant(operator, number)


def _cut_loss(script: Script) -> Iterator[Mutant]:
    for backward in script.having("backward"):
        found = assignment_before(script, backward)
        if found is None:
            continue
        statement, call = found
        first = call.args[0]
        if not isinstance(first, ast.GeneratorExp):
            edit = script.edit().replace(first, f"{script.segment(first)}.detach()")
            yield edit.mutant("detach-output", statement.line)
        match = re.fullmatch(r"(\w+)\.backward\(\)", script.segment(backward.node))
        if match:
            line = f"{match[1]} = torch.tensor({match[1]}.item(), requires_grad=True)"
            yield script.edit().insert(backward.node, line).mutant("item-loss", backward.line)


def _no_grad_forward(script: Script) -> Iterator[Mutant]:
    for backward in script.having("backward"):
        found = assignment_before(script, backward)
        if found is None:
            continue
        statement, call = found
        names = {node.id for node in ast.walk(call.args[0]) if isinstance(node, ast.Name)}
        forward = next(
            (
                s
                for s in script.statements
                if s.block is backward.block
                and isinstance(s.node, ast.Assign)
                and isinstance(s.node.value, ast.Call)
                and s.line < statement.line
                and names & {n.id for n in ast.walk(s.node.targets[0]) if isinstance(n, ast.Name)}
                and ast.unparse(s.node.value.func) in ("model", "net", "head", "ddp_model", "student", "tagger")
            ),
            statement,
        )
        edit = script.edit().shift([forward.node], 4).insert(forward.node, "with torch.no_grad():")
        yield edit.mutant("no-grad-forward", forward.line)


def _drop_super(script: Script) -> Iterator[Mutant]:
    for statement in script.statements:
        if re.fullmatch(r"(super\(.*\)|nn\.Module)\.__init__\((self)?\)", script.segment(statement.node)):
            yield script.edit().delete(statement).mutant("drop-super", statement.line)


def _retain_graph(script: Script) -> Iterator[Mutant]:
    for backward in script.having("backward"):
        text = script.segment(backward.node)
        if text.endswith(".backward()"):
            changed = text.removesuffix("()") + "(retain_graph=True)"
            yield script.edit().replace(backward.node, changed).mutant("retain-graph", backward.line)


def _drop_hidden_detach(script: Script) -> Iterator[Mutant]:
    for statement in script.statements:
        if re.fullmatch(r"(\w+) = \1\.detach\(\)", script.segment(statement.node)):
            yield script.edit().delete(statement).mutant("drop-hidden-detach", statement.line)


def _under_no_grad(script: Script) -> Iterator[ast.With]:
    for node in script.nodes(ast.With):
        assert isinstance(node, ast.With)
        if ast.unparse(node.items[0].context_expr) == "torch.no_grad()":
            yield node


def _dedent(script: Script, node: ast.With) -> Edit:
    return script.edit().shift(node.body, -4).drop_line(node.lineno)


def _manual_under_graph(script: Script) -> Iterator[Mutant]:
    for node in _under_no_grad(script):
        if "-= lr" in script.segment(node):
            yield _dedent(script, node).mutant("manual-under-graph", node.lineno)


def _constructs_optimizer(node: ast.stmt) -> bool:
    call = call_of(node)
    return call is not None and bool(re.match(r"(torch\.)?optim\.[A-Z]\w+$", ast.unparse(call.func)))


def _rebuild_optimizer(script: Script) -> Iterator[Mutant]:
    for statement in script.statements:
        if not _constructs_optimizer(statement.node):
            continue
        assert isinstance(statement.node, ast.Assign)
        name = ast.unparse(statement.node.targets[0])
        after = statement.block[statement.block.index(statement.node) + 1 :]
        loop = next((node for node in after if isinstance(node, (ast.For, ast.While))), None)
        if loop is None or any(name in ast.unparse(node) for node in after[: after.index(loop)]):
            continue
        yield script.edit().move(statement, loop.body[0]).mutant("rebuild-optimizer", statement.line)


def _replace_head(script: Script) -> Iterator[Mutant]:
    heads = {
        script.segment(node.targets[0]).removeprefix("self."): script.segment(node.value)
        for node in script.nodes(ast.Assign)
        if isinstance(node, ast.Assign) and re.fullmatch(r"self\.(head|fc2?|out)", script.segment(node.targets[0]))
        if re.fullmatch(r"nn\.Linear\(\d+, \d+\)", script.segment(node.value))
    }
    for statement in script.statements:
        match = re.search(r"\(model\.parameters\(\)", script.segment(statement.node))
        if _constructs_optimizer(statement.node) and match and heads:
            name, text = list(heads.items())[-1]
            edit = script.edit().insert(statement.node, f"model.{name} = {text}", after=True)
            yield edit.mutant("replace-head", statement.line)


def _cadence(script: Script) -> Iterator[Mutant]:
    for statement in script.having("scheduler"):
        loop = statement.loop
        if loop is None:
            continue
        inner = [s for s in script.having("step") if s.loop is not None and s.scope is statement.scope]
        if not inner:
            continue
        if loop is inner[0].loop:
            yield script.edit().move(statement, loop, after=True).mutant("epoch-cadence", statement.line)
        else:
            yield script.edit().move(statement, inner[0].node, after=True).mutant("batch-cadence", statement.line)


def _closure_without_return(script: Script) -> Iterator[Mutant]:
    for statement in script.statements:
        inside = statement.around[0]
        if isinstance(inside, ast.FunctionDef) and inside.name == "closure" and isinstance(statement.node, ast.Return):
            yield script.edit().delete(statement).mutant("closure-without-return", inside.lineno)


def _relu_to_sigmoid(script: Script) -> Iterator[Mutant]:
    if script.name.startswith("deep_"):
        edit = script.edit()
        pairs = (("nn.ReLU()", "nn.Sigmoid()"), ("F.relu(", "torch.sigmoid("), ("torch.relu(", "torch.sigmoid("))
        for old, new in pairs:
            edit.lines = [(origin, text.replace(old, new)) for origin, text in edit.lines]
        lines = enumerate(script.text.splitlines(), 1)
        first = next(n for n, text in lines if any(old in text for old, _ in pairs))
        yield edit.mutant("relu-to-sigmoid", first)


def _constant_weights(script: Script) -> Iterator[Mutant]:
    for node in script.nodes(ast.FunctionDef):
        assert isinstance(node, ast.FunctionDef)
        layers = [s for s in node.body if re.match(r"self\.\w+ = nn\.(Linear|Conv2d)\(", script.segment(s))]
        for layer in layers[:-1]:
            name = script.segment(layer).split(" = ")[0]
            edit = script.edit().insert(layer, f"nn.init.constant_({name}.weight, 0.1)", after=True)
            yield edit.mutant("constant-weights", layer.lineno)


def _squash_forward(script: Script) -> Iterator[Mutant]:
    for loss, operator, squashing in (
        (r"(?<!binary_)cross_entropy\(|CrossEntropyLoss", "softmax-forward", "softmax(dim=-1)"),
        (r"with_logits\(|BCEWithLogitsLoss", "sigmoid-forward", "sigmoid()"),
    ):
        if not re.search(loss, script.text):
            continue
        forwards = [n for n in script.nodes(ast.FunctionDef) if isinstance(n, ast.FunctionDef) and n.name == "forward"]
        if forwards:
            value = forwards[-1].body[-1]
            if isinstance(value, ast.Return) and isinstance(value.value, ast.Call):
                edit = script.edit().replace(value.value, f"{script.segment(value.value)}.{squashing}")
                yield edit.mutant(operator, value.lineno)
        else:
            yield from _squash_sequential(script, operator, squashing)


def _squash_sequential(script: Script, operator: str, squashing: str) -> Iterator[Mutant]:
    layer = "nn.Softmax(dim=1)" if squashing.startswith("softmax") else "nn.Sigmoid()"
    for node in script.nodes(ast.Call):
        assert isinstance(node, ast.Call)
        if ast.unparse(node.func) == "nn.Sequential" and ast.unparse(node.args[-1]).startswith("nn.Linear("):
            last = node.args[-1]
            yield script.edit().replace(last, f"{script.segment(last)}, {layer}").mutant(operator, last.lineno)


def _classifying(script: Script) -> Iterator[ast.Call]:
    """The first loss on class indices of each line."""
    seen: set[int] = set()
    for node in script.nodes(ast.Call):
        assert isinstance(node, ast.Call)
        named = re.fullmatch(r"(nn\.functional|F)\.(cross_entropy|nll_loss)", ast.unparse(node.func))
        built = ast.unparse(node.func) in ("criterion", "loss_fn") and "CrossEntropyLoss" in script.text
        if (named or built) and len(node.args) == 2 and node.lineno not in seen:
            seen.add(node.lineno)
            yield node


def _swap_arguments(script: Script) -> Iterator[Mutant]:
    for node in _classifying(script):
        first, second = (script.segment(argument) for argument in node.args)
        edit = script.edit().replace(node, f"{ast.unparse(node.func)}({second}, {first})")
        yield edit.mutant("swap-arguments", node.lineno)


def _regress_classes(script: Script) -> Iterator[Mutant]:
    for node in _classifying(script):
        output, label = (script.segment(argument) for argument in node.args)
        target = f"torch.nn.functional.one_hot({label}).float()"
        edit = script.edit().replace(node, f"torch.nn.functional.mse_loss({output}, {target})")
        yield edit.mutant("regress-classes", node.lineno)


def _modes(script: Script) -> Iterator[Mutant]:
    for statement in script.having("train", "eval", "set_epoch"):
        operator = {"train": "drop-train", "eval": "drop-eval", "set_epoch": "drop-set-epoch"}[statement.role or ""]
        yield script.edit().delete(statement).mutant(operator, statement.line)


def _drop_no_grad(script: Script) -> Iterator[Mutant]:
    for node in _under_no_grad(script):
        yield _dedent(script, node).mutant("drop-no-grad", node.lineno)
    for function in script.nodes(ast.FunctionDef):
        assert isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list:
            if ast.unparse(decorator) == "torch.no_grad()":
                yield script.edit().drop_line(decorator.lineno).mutant("drop-no-grad", decorator.lineno)


def _single_sample(script: Script) -> Iterator[Mutant]:
    """Batches of one, in scripts with a batch-norm that has one value a channel and sample."""
    if "BatchNorm1d" in script.text:
        pattern = re.compile(r"(DataLoader\(.*batch_size=)\d+")
        yield from _by_text(script, "single-sample", pattern, r"\g<1>1")
