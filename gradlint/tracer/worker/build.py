"""The last rung: build the script's model, optimizer and loss without its loop, make up inputs, and run its own step.

Top-level statements run one by one (imports, definitions, assignments, argument parsing), loops never; where the model
is built inside `main()`, that function's statements run instead. The statements of the loop that clear, clip, go
backward and step are the user's own, compiled from the script with their own lines, in the script's order.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import signal
import sys
import types
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from .session import Session

_BATCH, _TIME = 4, 16
_SIDES = (32, 28, 64, 224, 16, 8)
_STATEMENT_SECONDS = 20
_LOOP_CALLS = ("zero_grad", "backward", "step", "unscale_", "update", "clip_grad_norm_", "clip_grad_value_")
_LOSSES = (
    "cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy",
    "nll_loss",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
)
_CLASSES = {
    "CrossEntropyLoss": "cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "BCELoss": "binary_cross_entropy",
    "NLLLoss": "nll_loss",
    "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
    "SmoothL1Loss": "smooth_l1_loss",
}


class CannotBuild(Exception):
    """Says which argument or function would help."""


def build(session: Session) -> None:
    """Run the build strategy; raises CannotBuild, which ends as the record's error."""
    script = session.request["script"]
    tree = ast.Module([], [])
    for name, text in session.source(script):
        tree.body += ast.parse(text, filename=name).body
    builder = _Builder(session, tree, vars(session.main_module(script)))
    builder.construct()
    builder.train()


class _Builder:
    def __init__(self, session: Session, tree: ast.Module, scope: dict[str, Any]) -> None:
        self.session = session
        self.tree = tree
        self.scope = scope
        self.script = session.request["script"]

    def construct(self) -> None:
        """Run what builds; afterwards `network`, `optimizers`, `criterion` are found or None."""
        _lenient_arguments()
        self._statements(self.tree.body)
        if not self._networks():
            for function in self._entry_functions():
                self._bind_defaults(function)
                self._statements(function.body)
                if self._networks():
                    break
        if not self._networks():
            self._instantiate()
        networks = self._networks()
        if not networks:
            raise CannotBuild("no network could be built: no module of the script can be constructed without arguments")
        self.network = max(networks, key=lambda net: sum(p.numel() for p in net.parameters()))
        self.optimizers = [v for v in self._values() if isinstance(v, torch.optim.Optimizer)]
        self.criterion = next(
            (v for v in self._values() if isinstance(v, nn.Module) and type(v).__name__ in _CLASSES), None
        )

    def _values(self) -> list[Any]:
        unique: dict[int, Any] = {}
        for value in self.scope.values():
            unique.setdefault(id(value), value)
        return list(unique.values())

    def _networks(self) -> list[nn.Module]:
        return [
            value
            for value in self._values()
            if isinstance(value, nn.Module) and next(value.parameters(), None) is not None
        ]

    def _statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.If):
                if "__name__" in ast.dump(statement.test):
                    self._statements(statement.body)
                else:
                    taken = self._test(statement.test)
                    if taken is not None:
                        self._statements(statement.body if taken else statement.orelse)
            elif isinstance(statement, (ast.With, ast.Try)):
                self._statements(statement.body)
            elif isinstance(statement, ast.Expr):
                if self._harmless(statement.value):
                    self._execute(statement)
            elif not isinstance(statement, (ast.For, ast.AsyncFor, ast.While, ast.Return, ast.Raise, ast.Delete)):
                self._execute(statement)

    def _test(self, test: ast.expr) -> bool | None:
        try:
            return bool(eval(compile(ast.Expression(test), self.script, "eval"), self.scope))
        except Exception:
            return None

    def _harmless(self, value: ast.expr) -> bool:
        """Expression statements that set things up: torch.manual_seed, model.apply, parser.add_argument, exec."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            return value.func.id == "exec"
        if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
            return False
        root: ast.expr = value.func
        while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        if not isinstance(root, ast.Name):
            return False
        known = self.scope.get(root.id)
        if value.func.attr in _LOOP_CALLS:
            return False
        return isinstance(known, (nn.Module, argparse.ArgumentParser, argparse._ArgumentGroup, argparse.Namespace)) or (
            isinstance(known, types.ModuleType) and known.__name__.split(".")[0] in ("torch", "random", "numpy", "sys")
        )

    def _execute(self, statement: ast.stmt) -> None:
        """One statement, at most twenty seconds; what fails is left out, later statements show whether it mattered."""
        code = compile(ast.Module([statement], []), self.script, "exec")

        def ring(*_: Any) -> None:
            raise TimeoutError

        before = signal.signal(signal.SIGALRM, ring)
        signal.alarm(_STATEMENT_SECONDS)
        try:
            exec(code, self.scope)
        except (Exception, SystemExit) as problem:
            place = f"{self.script}:{statement.lineno}"
            print(f"gradlint: left out {place}: {type(problem).__name__}: {problem}", file=sys.stderr)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def _entry_functions(self) -> list[ast.FunctionDef]:
        functions = [s for s in self.tree.body if isinstance(s, ast.FunctionDef)]
        ranked = [f for f in functions if f.name in ("main", "train", "run", "main_worker", "fit", "training")]
        return (
            ranked
            + [f for f in functions if f not in ranked and "Optimizer" in ast.dump(f)]
            + [f for f in functions if f not in ranked and "optim" in ast.dump(f)]
        )

    def _bind_defaults(self, function: ast.FunctionDef) -> None:
        """Parameters with defaults become names; `args` becomes the parsed arguments where there are some."""
        arguments = function.args
        names = [argument.arg for argument in arguments.args]
        defaults = arguments.defaults
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            value = ast.Expression(default)
            try:
                self.scope.setdefault(name, eval(compile(value, self.script, "eval"), self.scope))
            except Exception:
                continue

    def _instantiate(self) -> None:
        """Modules that the script defines and never builds at the top: those that need no arguments."""
        kinds = [
            value
            for value in self._values()
            if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == "__main__"
        ]
        for kind in reversed(kinds):
            try:
                self.scope["__gradlint_" + kind.__name__] = kind()
            except Exception:
                continue

    # -- the step ------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """As many rounds as wanted of: forward, loss, and the script's own statements in their order."""
        arguments, keywords = self._inputs()
        self._assume(arguments)
        self.network.train()
        statements = self._loop_statements()
        if not self.optimizers:
            statements = [s for s in statements if _called(s) == "backward"]
        target: Any = None
        for _ in range(self.session.request["steps"]):
            done = False
            if not any(_called(s) == "backward" for s in statements):
                statements = self._default_order()
            for statement in statements:
                if _called(statement) == "backward" and not done:
                    done = True
                    output = self.network(*arguments, **keywords)
                    loss, target = self._loss(output, target)
                    self._rebind(statement, loss)
                self._run(statement)

    def _assume(self, arguments: tuple[Any, ...]) -> None:
        shapes = [f"{tuple(a.shape)} {str(a.dtype)[6:]}" for a in arguments if isinstance(a, torch.Tensor)]
        message = f"built without the script's data: made-up input {', '.join(shapes) or 'arguments'}, made-up targets"
        self.session.taming.note("built", message, ["data", "values", "shapes", "loop", "loss"])

    def _default_order(self) -> list[ast.stmt]:
        source = "__gradlint_optimizer.zero_grad()\n__gradlint_loss.backward()\n__gradlint_optimizer.step()"
        body = ast.parse(source).body
        return body if self.optimizers else body[1:2]

    def _loop_statements(self) -> list[ast.stmt]:
        """Statements of a step in order of lines, from the innermost loop around the backward (that also steps)."""
        loops = [node for node in ast.walk(self.tree) if isinstance(node, (ast.For, ast.While))]
        around: list[ast.AST] = [loop for loop in loops if any(_called(s) == "backward" for s in _simple(loop))]
        if not around:
            functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]
            around = [f for f in functions if any(_called(s) == "backward" for s in _simple(f))]
        if not around:
            return []
        whole = [node for node in around if any(_called(s) == "step" for s in _simple(node))]
        innermost = min(whole or around, key=lambda node: len(list(ast.walk(node))))
        found = [s for s in _simple(innermost) if _called(s) in _LOOP_CALLS]
        return sorted(found, key=lambda s: s.lineno)

    def _rebind(self, statement: ast.stmt, loss: torch.Tensor) -> None:
        self.scope["__gradlint_loss"] = loss
        call = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            return
        for node in ast.walk(call.func.value):
            if isinstance(node, ast.Name) and (node.id not in self.scope or "loss" in node.id.lower()):
                self.scope[node.id] = loss

    def _run(self, statement: ast.stmt) -> None:
        """A statement of the loop; receivers that do not exist here are replaced by what was built."""
        try:
            exec(compile(ast.Module([statement], []), self.script, "exec"), self._bound())
            return
        except (NameError, AttributeError, TypeError, KeyError):
            pass
        name = _called(statement)
        substitute = {
            "backward": "__gradlint_loss.backward()",
            "zero_grad": "__gradlint_optimizer.zero_grad()",
            "step": "__gradlint_optimizer.step()",
        }.get(name or "")
        if substitute is None:
            return
        fresh = ast.parse(substitute).body[0]
        for node in ast.walk(fresh):
            ast.copy_location(node, statement)
        exec(compile(ast.Module([fresh], []), self.script, "exec"), self._bound())

    def _bound(self) -> dict[str, Any]:
        if self.optimizers:
            self.scope["__gradlint_optimizer"] = self.optimizers[0]
            for name in ("optimizer", "optim", "opt"):
                if not hasattr(self.scope.get(name), "step"):
                    self.scope[name] = self.optimizers[0]
        for name in ("model", "net", "network"):
            self.scope.setdefault(name, self.network)
        return self.scope

    # -- inputs and loss -----------------------------------------------------------------------------------------

    def _inputs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments that the network's forward accepts. Raises CannotBuild when none is found."""
        given = self._given_inputs()
        if given is not None:
            return given
        problem = "its forward takes no tensors"
        for candidate in self._candidates():
            required = self._required()
            arguments = tuple(candidate.clone() for _ in range(max(1, required)))
            try:
                state = torch.get_rng_state()
                kept = [(b, b.detach().clone()) for b in self.network.buffers()]
                self.session.recorder.quiet += 1
                try:
                    with torch.no_grad():
                        self.network(*arguments)
                finally:
                    self.session.recorder.quiet -= 1
                    torch.set_rng_state(state)
                    with torch.no_grad():
                        for buffer, value in kept:
                            buffer.copy_(value)
                return arguments, {}
            except Exception as error:
                problem = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise CannotBuild(
            f"no made-up input fits {type(self.network).__name__} ({problem}): "
            "give --input-shape, or a function gradlint_inputs() with --input module:function"
        )

    def _given_inputs(self) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        request = self.session.request
        maker = self.scope.get("gradlint_inputs")
        if request["inputs"]:
            name, _, function = request["inputs"].partition(":")
            maker = getattr(__import__(name, fromlist=["_"]), function or "gradlint_inputs")
        if callable(maker):
            value = maker()
            if isinstance(value, dict):
                return (), value
            return (value if isinstance(value, tuple) else (value,)), {}
        if request["input_shape"]:
            return (self._made(tuple(request["input_shape"])),), {}
        return None

    def _made(self, shape: tuple[int, ...]) -> torch.Tensor:
        kind = self.session.request["input_dtype"]
        if kind in ("long", "int64"):
            return torch.randint(0, 2, shape)
        return torch.randn(shape).to(getattr(torch, kind) if kind else torch.get_default_dtype())

    def _required(self) -> int:
        signature = inspect.signature(self.network.forward)
        return sum(
            1
            for parameter in signature.parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        )

    def _candidates(self) -> list[torch.Tensor]:
        """Inputs that fit the first layers, most likely first."""
        found: list[torch.Tensor] = []
        for layer in list(self.network.modules())[:64]:
            if isinstance(layer, nn.Embedding):
                found.append(torch.randint(0, layer.num_embeddings, (_BATCH, _TIME)))
                found.append(torch.randint(0, layer.num_embeddings, (_BATCH,)))
            elif isinstance(layer, nn.Linear):
                found.append(torch.randn(_BATCH, layer.in_features))
                found.append(torch.randn(_BATCH, _TIME, layer.in_features))
                side = round(layer.in_features**0.5)
                if side * side == layer.in_features and side > 4:
                    found.append(torch.randn(_BATCH, 1, side, side))
            elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                found += [torch.randn(_BATCH, layer.in_channels, side, side) for side in _SIDES]
            elif isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
                found += [torch.randn(_BATCH, layer.in_channels, side) for side in (64, 128, 1024)]
            elif isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
                found += [torch.randn(2, layer.in_channels, side, side, side) for side in (16, 32)]
            elif isinstance(layer, nn.RNNBase):
                shape = (_BATCH, _TIME) if layer.batch_first else (_TIME, _BATCH)
                found.append(torch.randn(*shape, layer.input_size))
            elif isinstance(layer, nn.TransformerEncoderLayer):
                found.append(torch.randn(_TIME, _BATCH, layer.norm1.normalized_shape[0]))
            elif isinstance(layer, (nn.LayerNorm, nn.BatchNorm1d)):
                size = layer.num_features if isinstance(layer, nn.BatchNorm1d) else layer.normalized_shape[-1]
                found.append(torch.randn(_BATCH, size))
            if len(found) > 24:
                break
        return found

    def _loss(self, output: Any, target: Any) -> tuple[torch.Tensor, Any]:
        """The script's loss on the output and a made-up target; an output that is a scalar is the loss itself."""
        own = getattr(output, "loss", None)
        if isinstance(own, torch.Tensor):
            return own, None
        while isinstance(output, (tuple, list)):
            output = output[0]
        if isinstance(output, dict):
            output = next(iter(output.values()))
        output = getattr(output, "logits", output)
        if output.numel() == 1 and output.dim() == 0:
            return output, None
        name = self.session.request["target"] or self._loss_name()
        if name in ("cross_entropy", "nll_loss"):
            dimension = 1 if output.dim() > 1 else 0
            if output.dim() == 3 and self.criterion is None:
                output, dimension = output.reshape(-1, output.shape[-1]), 1
            shape = [size for index, size in enumerate(output.shape) if index != dimension]
            target = torch.randint(0, output.shape[dimension], shape) if target is None else target
        elif name.startswith("binary"):
            target = torch.randint(0, 2, output.shape).to(output.dtype) if target is None else target
        else:
            target = torch.randn_like(output) if target is None else target
        if self.criterion is not None and _CLASSES.get(type(self.criterion).__name__) == name:
            return self.criterion(output, target), target
        return getattr(F, name)(output, target), target

    def _loss_name(self) -> str:
        if self.criterion is not None:
            return _CLASSES[type(self.criterion).__name__]
        names = [node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)]
        names += [node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)]
        for name in names:
            if name in _LOSSES:
                return name
            if name in _CLASSES:
                return _CLASSES[name]
        return "mse_loss"


def _simple(node: ast.AST) -> list[ast.stmt]:
    return [child for child in ast.walk(node) if isinstance(child, (ast.Expr, ast.Assign))]


def _called(statement: ast.stmt) -> str | None:
    """Name of the outermost function that a simple statement calls."""
    value = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
    if not isinstance(value, ast.Call):
        return None
    if isinstance(value.func, ast.Attribute):
        return value.func.attr
    return value.func.id if isinstance(value.func, ast.Name) else None


def _lenient_arguments() -> None:
    """Required command-line arguments that nobody gave get a value of their type."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self: Any, args: Any = None, namespace: Any = None) -> Any:
        for action in self._actions:
            if not action.option_strings and action.nargs in (None, "+") and action.default is None:
                action.nargs = "?"
                action.default = _default(action)
            if action.required:
                action.required = False
                action.default = _default(action)
        return original(self, args, namespace)

    argparse.ArgumentParser.parse_args = parse_args  # type: ignore[method-assign]


def _default(action: Any) -> Any:
    if action.choices:
        return next(iter(action.choices))
    return {int: 1, float: 0.1}.get(action.type, "")
