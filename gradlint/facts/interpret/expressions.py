"""Expressions: what they evaluate to, and how the code writes them."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradlint.facts import code
from gradlint.facts.code import Expr
from gradlint.facts.interpret import attributes, calls, containers, iterators, loops, ranges, shaping, tensors, writing
from gradlint.facts.merging import merge
from gradlint.facts.model import RepeatedInstance
from gradlint.facts.roles import last_name
from gradlint.facts.torch_names import canonical
from gradlint.facts.values import (
    Choice,
    ClassValue,
    Collection,
    Constant,
    External,
    FunctionValue,
    Gradient,
    Instance,
    Layer,
    Mapping,
    Parameters,
    Tensor,
    Unknown,
    Value,
    constant,
    integer,
    is_module,
    options,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_BUILTINS = frozenset(dir(builtins))


def evaluate(it: Interpreter, expr: Expr, discarded: bool = False) -> Value:
    """What an expression stands for; `discarded` if nothing takes its value."""
    if type(expr) is code.Call:
        return calls.call(it, expr, discarded)
    return _EVALUATE[type(expr)](it, expr)


def _literal(it: Interpreter, expr: code.Literal) -> Value:
    return Constant(expr.value, place=it.place(expr.at) if isinstance(expr.value, (int, float)) else None)


def _name(it: Interpreter, expr: code.Name) -> Value:
    scope = it.frames[-1].scope
    holder = scope.holder(expr.name)
    if holder is not None:
        value = holder.get(expr.name)
        if value is not None:
            return value
    if expr.name in _BUILTINS:
        return External(expr.name)
    module = scope.module
    found = module.get(expr.name)
    if found is not None:
        return found
    if expr.name == "torch":
        # Brought by `from common import *`, or by `import torch.optim as optim` alone: it stands for nothing else.
        return External("torch")
    for star in module.stars:
        return External(canonical(f"{star}.{expr.name}"))
    missing = Unknown(expr.name, "value", writing.uses_of(it, expr.name))
    module.names[expr.name] = missing
    return missing


def _attribute(it: Interpreter, expr: code.Attribute) -> Value:
    return attributes.read(it, evaluate(it, expr.base), expr.name, expr)


def _subscript(it: Interpreter, expr: code.Subscript) -> Value:
    base = evaluate(it, expr.base)
    keys = [evaluate(it, index) for index in expr.index]
    if isinstance(base, Choice):
        return merge(_item(it, option, keys, expr) for option in base.options)
    return _item(it, base, keys, expr)


def key_of(value: Value) -> object:
    """By what a dict keeps something: a constant, or a module itself; None if that cannot be told."""
    return value if is_module(value) and not isinstance(value, Choice) else constant(value)


def _child(it: Interpreter, container: Layer, index: int, expr: code.Subscript) -> Value:
    """A module of a container, known by its place there where it has no other name."""
    child = container.children[index]
    it.call_it(f"{writing.text_of(expr.base)}[{writing.text_of(expr.index[0])}]", child)
    return child


def _item(it: Interpreter, base: Value, keys: list[Value], expr: code.Subscript) -> Value:
    if isinstance(base, Mapping) and len(keys) == 1 and is_module(keys[0]) and keys[0] in base.items:
        return base.items[keys[0]]
    key = keys[0].value if len(keys) == 1 and isinstance(keys[0], Constant) else None
    if isinstance(base, Instance) and base.fields is not None:
        base = Collection("tuple", base.fields)
    if isinstance(base, Mapping):
        if key is not None and key in base.items:
            return base.items[key]
        if key is None and base.items and not base.default:
            values = list(base.items.values())
            return values[0] if len(values) == 1 else merge(values)
        if key is not None and (alike := _any_entry(base)) is not None:
            return alike
        return (
            it.unknown(str(key), "attribute")
            if key is None
            else base.items.setdefault(key, Unknown(str(key), "attribute"))
        )
    if isinstance(base, Collection):
        if isinstance(key, int) and not base.open and -len(base.items) <= key < len(base.items):
            return base.items[key]
        if isinstance(expr.index[0], code.Slice):
            return _slice(base, expr.index[0], it)
        if base.element is not None:
            return base.element
        return merge(base.items) if base.items else it.unknown(last_name(writing.text_of(expr.base)), "item")
    if isinstance(base, Layer):
        if isinstance(key, int) and -len(base.children) <= key < len(base.children) and base.complete:
            return _child(it, base, key, expr)
        if isinstance(key, str) and key in base.names:
            return _child(it, base, base.names.index(key), expr)
        if isinstance(expr.index[0], code.Slice):
            kept = _slice(Collection("list", list(base.children), not base.complete), expr.index[0], it)
            if isinstance(kept, Collection) and not kept.open and kept.items:
                names = [base.names[base.children.index(child)] for child in kept.items] if base.names else []
                return Layer(base.kind, [], {}, it.place(expr.at), kept.items, names)
            return Layer(base.kind, [], {}, it.place(expr.at), list(base.children), list(base.names), complete=False)
        if base.children and all(isinstance(c, Layer) for c in base.children):
            return base.children[0]
        return it.unknown(base.name, "item", (base,))
    if isinstance(base, Tensor):
        named = isinstance(key, str)
        part = tensors.derive(it, [base], it.place(expr.at), keep_form=not named, hint=str(key) if named else base.hint)
        if len(keys) == 1 and _masks(keys[0]):
            ranges.select(base, keys[0], part)
        elif not named:
            ranges.item(base, part)
        part.shape = shaping.indexed(base.shape, keys, expr.index)
        if named:
            part.form = tensors.named_output(base, str(key), it.place(expr.at))
            part.loss = External(str(key)) if str(key).endswith("loss") else part.loss
        return part
    if isinstance(base, Gradient):
        return base
    if isinstance(base, Parameters) and base.named and not isinstance(expr.index[0], code.Slice):
        from gradlint.facts.interpret.loops import parameter_of

        return parameter_of(Parameters(base.owners, base.whole))
    if isinstance(base, Unknown):
        if key == "params" and (owner := attributes.param_groups_of(base)) is not None:
            return Parameters((owner,))
        label = repr(key) if key is not None else writing.text_of(expr.index[0]) if expr.index else ""
        found = attributes.part(it, base, f"[{label}]", writing.text_of(expr))
        if isinstance(found, Unknown) and found.shape is None:
            found.shape = shaping.unseen(base.shape, keys, expr.index)
        return found
    if isinstance(base, External):
        return base
    return it.unknown(last_name(writing.text_of(expr.base)), "item")


def _any_entry(mapping: Mapping) -> Tensor | None:
    """The tensor that stands for all entries of a dict whose keys nobody knows, as `dict(model.named_parameters())`."""
    if not mapping.open or not all(isinstance(key, str) and key.startswith("?") for key in mapping.items):
        return None
    values = list(mapping.items.values())
    if len(values) != 1 or not isinstance(values[0], Tensor) or values[0].form is not None or not values[0].roots:
        return None
    return values[0]


def _masks(key: Value) -> bool:
    """Whether an index is a mask, or may be one; what a loop counts with is none."""
    formula = ranges.formula_of(key)
    if isinstance(key, Unknown) and formula.op == "leaf":
        return key.origin in ("parameter", "call", "attribute")
    return formula.op in ranges.MASKS or (isinstance(key, Tensor) and key.dtype == "bool")


def _slice(base: Collection, index: code.Slice, it: Interpreter) -> Value:
    bounds: list[int | None] = []
    for part in (index.lower, index.upper, index.step):
        value = constant(evaluate(it, part)) if part is not None else None
        if part is not None and not isinstance(value, int):
            return Collection(base.kind, list(base.items), open=True)
        bounds.append(value if isinstance(value, int) else None)
    if base.open or bounds[2] == 0:
        return Collection(base.kind, list(base.items), open=True)
    return Collection(base.kind, base.items[bounds[0] : bounds[1] : bounds[2]])


def _slice_value(it: Interpreter, expr: code.Slice) -> Value:
    for part in (expr.lower, expr.upper, expr.step):
        if part is not None:
            evaluate(it, part)
    return Unknown("slice")


def _binary(it: Interpreter, expr: code.Binary) -> Value:
    left, right = evaluate(it, expr.left), evaluate(it, expr.right)
    if isinstance(left, Constant) and isinstance(right, Constant):
        folded = fold(expr.op, left, right)
        if folded is not None:
            return folded
    both: Value | None = None
    if expr.op in ("+", "%"):
        both = containers.joined(left, right) if expr.op == "+" else containers.formatted(left, right)
    if both is not None:
        return both
    if expr.op == "*" and isinstance(left, Collection):
        return _repeat(it, left, right, expr)
    if expr.op == "-" and isinstance(left, Parameters):
        # A set of parameters less some of them.
        return Parameters(left.owners, whole=False)
    if isinstance(left, (Gradient,)) or isinstance(right, Gradient):
        return left if isinstance(left, Gradient) else right
    result = tensors.combine(it, expr.op, left, right, it.place(expr.at))
    if expr.op == "%" and isinstance(result, Unknown):
        result.origin = "remainder"
    elif isinstance(result, Unknown) and any(isinstance(v, Unknown) and v.origin == "length" for v in (left, right)):
        result.origin = "length"
    return result


def _recurs(value: Value) -> bool:
    """Whether a test comes true again and again: it asks for the remainder of a counter, perhaps with another test."""
    return isinstance(value, Unknown) and value.origin in ("remainder", "remainder or")


def _repeat(it: Interpreter, items: Collection, count: Value, expr: code.Binary) -> Value:
    times = constant(count)
    place = it.place(expr.at)
    if any(is_module(item) for item in items.items) and it.once("repeated", place):
        number = integer(count)
        modules = [item for item in items.items if is_module(item)]
        it.facts.repeated.extend(RepeatedInstance(module, number, place, writing.text_of(expr)) for module in modules)
    if isinstance(times, int) and 0 <= times * len(items.items) <= 512:
        return Collection(items.kind, items.items * times, items.open)
    return Collection(items.kind, list(items.items), open=True)


def fold(op: str, left: Constant, right: Constant) -> Constant | None:
    """Arithmetic on constants; a result made of a default is a default."""
    a, b = left.value, right.value
    default = left.default or right.default
    try:
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            if op == "**" and (abs(b) > 64 or abs(a) > 1e6):
                return None
            result = _FOLD[op](a, b) if op in _FOLD else None
            return Constant(result, default, left.place or right.place) if isinstance(result, (int, float)) else None
        if op == "+" and isinstance(a, str) and isinstance(b, str) and len(a) + len(b) < 1000:
            return Constant(a + b, default)
    except (ArithmeticError, ValueError):
        return None
    return None


_FOLD: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "**": lambda a, b: a**b,
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "is": lambda a, b: a is b, "is not": lambda a, b: a is not b,
}  # fmt: skip


def _unary(it: Interpreter, expr: code.Unary) -> Value:
    value = evaluate(it, expr.value)
    if isinstance(value, Constant):
        if expr.op == "not":
            return Constant(not value.value, value.default)
        if expr.op == "-" and isinstance(value.value, (int, float)):
            return Constant(-value.value, value.default, value.place)
        return value
    if isinstance(value, (Tensor, Gradient)):
        if expr.op != "-" or not isinstance(value, Tensor):
            return value
        negative = tensors.derive(it, [value], it.place(None))
        negative.attribute = value.attribute if value.attribute == "log_prob" else ""
        result: Value = negative
    else:
        known = isinstance(value, Unknown)
        kept = isinstance(value, Unknown) and value.origin in ("remainder", "remainder or", "length")
        origin = value.origin if isinstance(value, Unknown) and kept else "value"
        result = it.unknown(value.hint if isinstance(value, Unknown) else "", origin, (value,) if known else ())
    if expr.op == "-":
        ranges.operation(it, "neg", [value], result, it.place(None))
    return result


def _compare(it: Interpreter, expr: code.Compare) -> Value:
    left = evaluate(it, expr.left)
    rights = [(op, evaluate(it, right)) for op, right in expr.rest]
    if len(rights) == 1:
        op, right = rights[0]
        if isinstance(left, Constant) and isinstance(right, Constant):
            try:
                if op in _COMPARE:
                    return Constant(bool(_COMPARE[op](left.value, right.value)), left.default or right.default)
            except TypeError:
                return it.unknown("comparison")
        if (
            op in ("in", "not in")
            and isinstance(left, Constant)
            and not left.default
            and isinstance(right, Collection)
            and not right.open
            and all(isinstance(item, Constant) for item in right.items)
        ):
            found = any(constant(item) == left.value for item in right.items)
            return Constant(found is (op == "in"))
        if (
            op in ("in", "not in")
            and (isinstance(left, Constant) and isinstance(left.value, str) and left.value != "…")
            and (isinstance(right, Constant) and isinstance(right.value, str) and right.value != "…")
        ):
            return Constant((left.value in right.value) is (op == "in"), left.default or right.default)
        if op in ("is", "is not", "==", "!=") and is_module(left) and isinstance(right, (External, ClassValue)):
            return Constant(op in ("is not", "!="))
        if op in ("is", "is not", "==", "!=") and isinstance(left, External) and isinstance(right, External):
            return Constant((left.name == right.name) is (op in ("is", "==")))
        if op in ("is", "is not") and isinstance(right, Constant) and right.value is None and _tensor(left):
            return Constant(op == "is not")
        if op in ("is", "is not") and isinstance(right, Constant) and right.value is None and _surely_object(left):
            return Constant(op == "is not", default=True)
    counted = any(isinstance(option, Unknown) and option.origin == "count" for option in options(left))
    reached = counted and any(op in ("==", ">=") for op, _ in rights)
    recurs = reached or _recurs(left) or any(_recurs(right) for _, right in rights)
    result = _outcome(it, [left, *(right for _, right in rights)], rights[0][0], "remainder" if recurs else "value")
    ranges.compared(result, [left, *(right for _, right in rights)])
    return result


def _outcome(it: Interpreter, values: list[Value], op: str, origin: str) -> Value:
    """Of tensors, a comparison is a tensor that hangs on nothing."""
    attached = [value for value in values if isinstance(value, Tensor) and (value.roots or value.cuts)]
    if not attached or op in ("is", "is not", "in", "not in"):
        return it.unknown("comparison", origin)
    place = it.place(None)
    return tensors.cut(it, tensors.derive(it, attached, place), "non-differentiable comparison", place)


def _tensor(value: Value) -> bool:
    """Whether a value surely is a tensor: of the parameters, those that a layer's arguments say it has."""
    if not isinstance(value, Tensor) or value.optional:
        return False
    return not value.parameter or (isinstance(value.owner, Layer) and value.attribute in ("weight", "bias"))


def _surely_object(value: Value) -> bool:
    return isinstance(value, (Layer, Collection, Mapping, FunctionValue))


def _logic(it: Interpreter, expr: code.Logic) -> Value:
    values = [evaluate(it, value) for value in expr.values]
    from gradlint.facts.interpret.conditions import truth

    truths = [truth(value) for value in values]
    if expr.op == "and":
        if False in truths:
            return Constant(False)
        if all(t is True for t in truths):
            return Constant(True)
        if not any(_recurs(value) for value in values):
            return it.unknown("condition", "value")
        # `i % k != 0 and i != last` goes round what `i % k == 0 or i == last` does.
        parts = zip(expr.values, values, truths, strict=True)
        left_over = [_recurs(value) and _differs(part) for part, value, known in parts if known is None]
        return it.unknown("condition", "remainder or" if len(left_over) > 1 and any(left_over) else "remainder")
    kept = [value for value, known in zip(values, truths, strict=True) if known is not False]
    if not kept:
        return values[-1]
    first = kept[0]
    if truth(first) is True:
        return first
    if len(kept) > 1 and any(_recurs(value) for value in kept):
        return it.unknown("condition", "remainder or")
    return first if all(isinstance(v, Unknown) for v in kept) else merge(kept)


def _differs(expr: Expr) -> bool:
    """`i % k != 0`, or `i % k` alone."""
    if isinstance(expr, code.Compare):
        return len(expr.rest) == 1 and expr.rest[0][0] == "!="
    return isinstance(expr, code.Binary) and expr.op == "%"


def _conditional(it: Interpreter, expr: code.Conditional) -> Value:
    from gradlint.facts.interpret.conditions import judge

    decided, _ = judge(it, expr.test)
    if decided is not None:
        return evaluate(it, expr.body if decided else expr.orelse)
    return merge([evaluate(it, expr.body), evaluate(it, expr.orelse)])


def _sequence(it: Interpreter, expr: code.Sequence) -> Value:
    items: list[Value] = []
    is_open = False
    spread = [evaluate(it, item.value) for item in expr.items if isinstance(item, code.Star)]
    sets = [value for value in spread if isinstance(value, Parameters)]
    for given in sets:
        iterators.exhaust(it, given, it.place(expr.at), "the display")
    if sets and len(sets) == len(expr.items):
        return Parameters(tuple(owner for s in sets for owner in s.owners), all(s.whole for s in sets))
    stars = iter(spread)
    for item in expr.items:
        if isinstance(item, code.Star):
            value = next(stars)
            known = loops.elements(it, value) if not isinstance(value, Parameters) else None
            if known is None:
                is_open = True
                if isinstance(value, (Parameters, Unknown)):
                    items.append(value)
            else:
                items.extend(known)
        else:
            items.append(evaluate(it, item))
    made = Collection(expr.kind, items, is_open, it.place(expr.at))
    if it.repeats and expr.kind != "tuple":
        it.births[id(made)] = it.repeats[-1]
        it.kept.append(made)
    return made


def _star(it: Interpreter, expr: code.Star) -> Value:
    return evaluate(it, expr.value)


def _mapping(it: Interpreter, expr: code.DictDisplay) -> Value:
    result = Mapping({})
    for key, item in expr.items:
        value = evaluate(it, item)
        if key is None:
            if isinstance(value, Mapping):
                result.items.update(value.items)
                result.open = result.open or value.open
            else:
                result.open = True
            continue
        name = key_of(evaluate(it, key))
        if name is None:
            result.open = True
            result.items[f"?{len(result.items)}"] = value
        else:
            result.items[name] = value
    return result


def _comprehension(it: Interpreter, expr: code.Comprehension) -> Value:
    from gradlint.facts.interpret import comprehensions

    return comprehensions.evaluate(it, expr)


def _function(it: Interpreter, expr: code.Lambda) -> Value:
    return FunctionValue(expr, it.scope, owner=it.frame.owner)


def _walrus(it: Interpreter, expr: code.Walrus) -> Value:
    value = evaluate(it, expr.value)
    it.write(expr.name, value)
    it.call_it(expr.name, value)
    return value


def _other(it: Interpreter, expr: code.Other) -> Value:
    from gradlint.facts.interpret.loops import any_element

    if expr.kind == "text":
        return _text(it, expr)
    for part in expr.parts:
        value = evaluate(it, part)
        if expr.kind.startswith("yield"):
            value = any_element(it, value) if expr.kind == "yield from" else value
            it.frame.returns.append(value)
            it.frame.generates = True
    resume = it.frame.resume
    if expr.kind == "yield" and resume is not None:
        frame = it.frames.pop()
        frame.resume = None
        try:
            resume(frame.returns[-1] if frame.returns else Constant(None))
        finally:
            it.frames.append(frame)
    if expr.kind == "string":
        return Constant("…", default=True)
    return it.unknown()


def _text(it: Interpreter, expr: code.Other) -> Constant:
    """An f-string: known where all that goes in is."""
    values = [evaluate(it, part) for part in expr.parts]
    known = [
        str(v.value) for v in values if isinstance(v, Constant) and isinstance(v.value, (str, int)) and v.value != "…"
    ]
    if len(known) != len(values):
        return Constant("…", default=True)
    return Constant("".join(known), any(isinstance(value, Constant) and value.default for value in values))


_EVALUATE: dict[type, Callable[[Any, Any], Value]] = {
    code.Literal: _literal, code.Name: _name, code.Attribute: _attribute, code.Subscript: _subscript,
    code.Slice: _slice_value, code.Binary: _binary, code.Unary: _unary, code.Compare: _compare, code.Logic: _logic,
    code.Conditional: _conditional, code.Sequence: _sequence, code.Star: _star, code.DictDisplay: _mapping,
    code.Comprehension: _comprehension, code.Lambda: _function, code.Walrus: _walrus, code.Other: _other,
}  # fmt: skip
