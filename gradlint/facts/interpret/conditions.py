"""What a branch depends on: decided now, or a condition that other branches may share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.code import Expr
from gradlint.facts.events import Condition
from gradlint.facts.interpret import expressions, writing
from gradlint.facts.merging import merge
from gradlint.facts.values import (
    NONE,
    Choice,
    ClassValue,
    Collection,
    Constant,
    External,
    Gradient,
    Instance,
    Layer,
    Mapping,
    Optimizer,
    Parameters,
    Scaler,
    Tensor,
    Unknown,
    Value,
    integer,
    number,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def judge(it: Interpreter, test: Expr) -> tuple[bool | None, Condition]:
    """Whether a test is decided, and the condition to correlate it with others."""
    value = expressions.evaluate(it, test)
    decided = truth(value)
    if decided is None and _about_gradient(it, test):
        decided = True
    found = condition(it, test)
    found.recurs = isinstance(value, Unknown) and value.origin in ("remainder", "remainder or")
    found.modulus = _modulus(it, test) if found.recurs else None
    found.default = bool(value.value) if isinstance(value, Constant) and value.default else None
    found.also = isinstance(value, Unknown) and value.origin == "remainder or"
    return decided, found


def _modulus(it: Interpreter, test: Expr) -> int | None:
    """The plain number that a test divides by in `i % 4 == 0`."""
    for part in _parts(test):
        if isinstance(part, code.Binary) and part.op == "%":
            return integer(expressions.evaluate(it, part.right))
    return None


def narrowed(it: Interpreter, test: Expr) -> tuple[dict[str, Value], dict[str, Value]]:
    """What names can still stand for where `isinstance(name, kind)` or `name is None` holds, and where it fails."""
    if isinstance(test, code.Unary) and test.op == "not":
        holds, fails = narrowed(it, test.value)
        return fails, holds
    if isinstance(test, code.Logic) and test.op == "and":
        every: dict[str, Value] = {}
        for part in test.values:
            every = {**narrowed(it, part)[0], **every}
        return every, {}
    if isinstance(test, code.Compare) and len(test.rest) == 1 and isinstance(test.left, code.Name):
        op, right = test.rest[0]
        if isinstance(right, code.Literal) and right.value is None and test.left.name in it.scope.names:
            nothing: dict[str, Value] = {test.left.name: NONE}
            return (nothing, {}) if op == "is" else ({}, nothing) if op == "is not" else ({}, {})
    if not isinstance(test, code.Call) or not isinstance(test.func, code.Name) or test.func.name != "isinstance":
        return {}, {}
    if len(test.arguments) != 2 or not isinstance(test.arguments[0].value, code.Name):
        return {}, {}
    name = test.arguments[0].value.name
    value = it.scope.names.get(name)
    kind = expressions.evaluate(it, test.arguments[1].value)
    if isinstance(value, Unknown) and isinstance(kind, External) and kind.name in _TENSORS:
        # By its name it might be taken for a module.
        return {name: Unknown("tensor", value.origin, touched=value.touched, graph=value.graph)}, {}
    if not isinstance(value, Choice):
        return {}, {}
    passing = [option for option in value.options if is_instance(it, option, kind) is not False]
    failing = [option for option in value.options if is_instance(it, option, kind) is not True]
    return {name: merge(passing)} if passing else {}, {name: merge(failing)} if failing else {}


def truth(value: Value) -> bool | None:
    """True or False only for values that no setting from outside can change."""
    if isinstance(value, Constant):
        return None if value.default else bool(value.value)
    if isinstance(value, External) and value.name in ("typing.TYPE_CHECKING",):
        return False
    return None


def compares_settings(it: Interpreter, test: Expr) -> bool:
    """`if self.rate > 0:`, of numbers that are known, by default at least: a setting, no mode of the moment."""
    if not isinstance(test, code.Compare) or any(op not in (">", "<", ">=", "<=", "!=", "==") for op, _ in test.rest):
        return False
    sides = [test.left, *(side for _, side in test.rest)]
    return all(number(expressions.evaluate(it, side)) is not None for side in sides)


def fixed(it: Interpreter, test: Expr) -> bool:
    """Whether a test reads only constants, arguments and entries of a config: nothing that the code sets on the way."""
    for name in _names(test):
        value = expressions.evaluate(it, name)
        given = isinstance(value, Unknown) and value.origin in ("parameter", "attribute", "field")
        entry = isinstance(name, code.Attribute) and isinstance(expressions.evaluate(it, name.base), Unknown)
        if not (isinstance(value, Constant) or given or entry):
            return False
    return True


def condition(it: Interpreter, test: Expr) -> Condition:
    """The canonical form of a test: `not x`, `x is None` and `x == False` are the negation of `x`."""
    negated = False
    while True:
        if isinstance(test, code.Unary) and test.op == "not":
            negated, test = not negated, test.value
        elif isinstance(test, code.Compare) and len(test.rest) == 1 and _is_nothing(test.rest[0][1]):
            op = test.rest[0][0]
            if op in ("is", "=="):
                negated, test = not negated, test.left
            elif op in ("is not", "!="):
                test = test.left
            else:
                break
        elif isinstance(test, code.Compare) and len(test.rest) == 1 and test.rest[0][0] in ("!=", "not in"):
            positive = "==" if test.rest[0][0] == "!=" else "in"
            negated, test = not negated, code.Compare(test.left, [(positive, test.rest[0][1])])
        else:
            break
    text = writing.text_of(test)
    loops: list[int] = []
    idents: list[str] = []
    for name in _names(test):
        value = expressions.evaluate(it, name)
        idents.append(repr(value.value) if isinstance(value, Constant) else str(id(value)))
        if not isinstance(value, Constant):
            it.kept.append(value)
        if id(value) in it.births:
            loops.append(it.births[id(value)])
        elif isinstance(value, Tensor) and it.repeats:
            # What a loop tests of a tensor is nearly always computed in it.
            loops.append(it.repeats[-1])
    if any(isinstance(part, code.Call) for part in _parts(test)) and it.repeats:
        loops.append(it.repeats[-1])
    inner = max((loop for loop in loops), default=None)
    return Condition(f"{text}|{','.join(idents)}", text, negated, inner)


def _is_nothing(expr: Expr) -> bool:
    return isinstance(expr, code.Literal) and (expr.value is None or expr.value is False)


def _names(expr: Expr) -> list[Expr]:
    """The names and plain attribute paths a test reads."""
    if isinstance(expr, code.Name) or (isinstance(expr, code.Attribute) and _plain(expr)):
        return [expr]
    return [name for part in _children(expr) for name in _names(part)]


def _plain(expr: Expr) -> bool:
    while isinstance(expr, code.Attribute):
        expr = expr.base
    return isinstance(expr, code.Name)


def _parts(expr: Expr) -> list[Expr]:
    return [expr, *(part for child in _children(expr) for part in _parts(child))]


def _children(expr: Expr) -> list[Expr]:
    if isinstance(expr, code.Attribute):
        return [expr.base]
    if isinstance(expr, code.Call):
        func = [expr.func.base] if isinstance(expr.func, code.Attribute) else [expr.func]
        return [*func, *(argument.value for argument in expr.arguments)]
    if isinstance(expr, code.Subscript):
        return [expr.base, *expr.index]
    if isinstance(expr, code.Binary):
        return [expr.left, expr.right]
    if isinstance(expr, code.Unary):
        return [expr.value]
    if isinstance(expr, code.Compare):
        return [expr.left, *(right for _, right in expr.rest)]
    if isinstance(expr, code.Logic):
        return expr.values
    return []


def _about_gradient(it: Interpreter, test: Expr) -> bool:
    """`if p.grad is not None` and `if p.requires_grad` in a loop over parameters hold for each that matters."""
    if isinstance(test, code.Logic) and test.op == "and":
        return all(_about_gradient(it, value) for value in test.values)
    if isinstance(test, code.Compare) and len(test.rest) == 1 and test.rest[0][0] in ("is not", "!="):
        value = expressions.evaluate(it, test.left)
        return isinstance(value, Gradient) and isinstance(value.owner, Tensor) and value.owner.parameter
    if isinstance(test, code.Attribute) and test.name in ("requires_grad", "grad"):
        value = expressions.evaluate(it, test.base)
        return isinstance(value, Tensor) and value.parameter
    return False


_WITH_CLOSURE = frozenset({"torch.optim.LBFGS", "torch.optim.lbfgs.LBFGS"})
_TENSORS = frozenset({"torch.Tensor", "torch.nn.Parameter", "torch.nn.parameter.Parameter"})
_NUMBERS = frozenset({"int", "float", "complex", "bool", "str"})
_KINDS: dict[str, tuple[type, ...]] = {"list": (Collection,), "tuple": (Collection,), "dict": (Mapping,)}


def is_instance(it: Interpreter, value: Value, kind: Value) -> bool | None:
    """What `isinstance(value, kind)` is, where both are known."""
    if isinstance(kind, Collection) and not kind.open:
        answers = [is_instance(it, value, item) for item in kind.items]
        return True if True in answers else (None if None in answers else False)
    if isinstance(value, (Unknown, Choice)) or isinstance(kind, (Unknown, Choice)):
        return None
    if isinstance(value, ClassValue):
        # A class is an instance of its metaclass alone.
        if isinstance(kind, External):
            return True if kind.name == "type" else None
        return None if isinstance(kind, ClassValue) and "type" in kind.externals() else False
    if isinstance(value, Layer):
        if isinstance(kind, External):
            if kind.name == value.kind or kind.name == "torch.nn.Module":
                return True
            if kind.name in _LAYER_BASES:
                return value.name.startswith(_LAYER_BASES[kind.name])
            return False if kind.name.startswith("torch.nn.") else None
        return False
    if isinstance(value, Instance):
        if any(base is kind for base in value.cls.lineage()):
            return True
        if isinstance(kind, External):
            if kind.name in value.cls.externals() or (kind.name == "torch.nn.Module" and value.kind == "module"):
                return True
            return None if value.cls.opaque else False
        return None if value.cls.opaque else False
    if isinstance(value, Optimizer) and isinstance(kind, External) and kind.name.startswith("torch.optim."):
        known = value.known and not value.alternatives
        # One of its classes may derive from another, but not from those that want a closure.
        return value.kind == kind.name or (None if not known or kind.name not in _WITH_CLOSURE else False)
    if isinstance(value, Tensor):
        if isinstance(kind, External):
            if kind.name in _NUMBERS or kind.name.startswith("numpy."):
                # What was cut may be the number of `item()` or numpy's array.
                return False if value.roots and not value.optional else None
            return True if kind.name == "torch.Tensor" else False if kind.name in _KINDS else None
        return None
    if isinstance(kind, External) and kind.name in _KINDS:
        return isinstance(value, _KINDS[kind.name]) if not isinstance(value, (Parameters, Optimizer, Scaler)) else False
    return None


_LAYER_BASES: dict[str, str | tuple[str, ...]] = {
    "torch.nn._ConvNd": "Conv", "torch.nn.conv._ConvNd": "Conv", "torch.nn._BatchNorm": "BatchNorm",
    "torch.nn.batchnorm._BatchNorm": "BatchNorm", "torch.nn.RNNBase": ("RNN", "LSTM", "GRU"),
}  # fmt: skip
