"""Comprehensions: gone through one by one where the items are known, else one element that stands for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.interpret import assign, conditions, expressions, iterators, looping, writing
from gradlint.facts.interpret.loops import UNROLL, any_element, elements
from gradlint.facts.merging import merge
from gradlint.facts.model import RepeatedInstance
from gradlint.facts.scope import Scope
from gradlint.facts.values import Collection, Mapping, Parameters, Snapshot, Steps, Tensor, Value, is_module

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def evaluate(it: Interpreter, expr: code.Comprehension) -> Value:
    """`[f(x) for x in xs if c]`."""
    outer = it.frame.scope
    it.frame.scope = Scope(outer.path, "function", outer)
    try:
        first = expr.generators[0]
        iterable = expressions.evaluate(it, first.iterable)
        if isinstance(iterable, Parameters):
            return _parameters(it, expr, iterable)
        if expr.kind == "dict" and isinstance(iterable, Steps) and iterable.kind == "snapshot":
            taken = iterable.arguments[0]
            assert isinstance(taken, Snapshot)
            return Snapshot(taken.module, it.place(expr.at), copied=taken.copied or not _same_tensor(expr.element))
        if expr.kind == "dict":
            return _mapping(it, expr)
        return _collection(it, expr)
    finally:
        it.frame.scope = outer


def _rounds(it: Interpreter, generators: list[code.Generator], index: int, action: object, budget: list[int]) -> bool:
    """Bind every combination of items and call `action`; False if not all could be gone through."""
    if index == len(generators):
        budget[0] -= 1
        action()  # type: ignore[operator]
        return budget[0] > 0
    generator = generators[index]
    iterable = expressions.evaluate(it, generator.iterable)
    iterators.exhaust(it, iterable, it.place(None), "the comprehension")
    known = elements(it, iterable)
    complete = known is not None
    items = known if known is not None else [any_element(it, iterable)]
    if isinstance(iterable, Steps) and known is None:
        complete = False
    if known is None:
        return _repeated(it, generators, index, action, budget, iterable, items[0])
    for item in items[:UNROLL]:
        assign.bind(it, generator.target, item, it.statement, fresh=True)
        passes = [conditions.truth(expressions.evaluate(it, condition)) for condition in generator.conditions]
        if False in passes:
            continue
        complete = complete and None not in passes
        if not _rounds(it, generators, index + 1, action, budget):
            return False
    return complete


def _repeated(
    it: Interpreter,
    generators: list[code.Generator],
    index: int,
    action: object,
    budget: list[int],
    iterable: Value,
    item: Value,
) -> bool:
    """A comprehension over items nobody knows is a loop: what its element does happens again and again."""
    generator = generators[index]
    hint = writing.text_of(generator.iterable)

    def again() -> str | None:
        assign.bind(it, generator.target, item, it.statement, fresh=True)
        for condition in generator.conditions:
            expressions.evaluate(it, condition)
        _rounds(it, generators, index + 1, action, budget)
        return None

    looping.cycle(it, again, iterable, hint, it.statement, item)
    return False


def _collection(it: Interpreter, expr: code.Comprehension) -> Value:
    items: list[Value] = []
    complete = _rounds(it, expr.generators, 0, lambda: items.append(expressions.evaluate(it, expr.element)), [UNROLL])
    _same_each_time(it, expr, items)
    element = None
    if not complete and items:
        element = merge(items) if all(is_module(item) for item in items) else items[0]
    if element is not None and isinstance(element, Tensor) and len(items) == 1:
        return Collection("list", items, True, it.place(expr.at), element)
    kind = "list" if expr.kind != "set" else "set"
    return Collection(kind, items, not complete, it.place(expr.at), element)


def _same_each_time(it: Interpreter, expr: code.Comprehension, items: list[Value]) -> None:
    """`[layer for _ in range(n)]` holds one layer n times."""
    bound = {name for generator in expr.generators for name in writing.attribute_names(generator.target)}
    if not isinstance(expr.element, code.Name) or expr.element.name in bound or not items or not is_module(items[0]):
        return
    place = it.place(expr.at)
    if it.once("repeated", place):
        text = f"[{expr.element.name} for …]"
        it.facts.repeated.append(RepeatedInstance(items[0], len(items) if len(items) > 1 else None, place, text))


def _mapping(it: Interpreter, expr: code.Comprehension) -> Value:
    result = Mapping({})

    def add() -> None:
        key = expressions.key_of(expressions.evaluate(it, expr.key)) if expr.key is not None else None
        value = expressions.evaluate(it, expr.element)
        result.items[key if key is not None else f"?{len(result.items)}"] = value
        result.open = result.open or key is None

    result.open = not _rounds(it, expr.generators, 0, add, [UNROLL]) or result.open
    return result


def _parameters(it: Interpreter, expr: code.Comprehension, parameters: Parameters) -> Value:
    """`[p for p in model.parameters() if p.requires_grad]` is still the model's parameters; `p.grad` of them its
    gradients.
    """
    generator = expr.generators[0]
    assign.bind(it, generator.target, elements(it, parameters)[0], it.statement)  # type: ignore[index]
    for condition in generator.conditions:
        expressions.evaluate(it, condition)
    element = expressions.evaluate(it, expr.element)
    if isinstance(element, Tensor) and element.parameter:
        trainable = all(_only_trainable(condition) for condition in generator.conditions)
        whole = parameters.whole and trainable
        filtered = bool(generator.conditions) or parameters.filtered
        if expr.kind == "generator":
            return Parameters(parameters.owners, whole, True, sources=(parameters,), filtered=filtered)
        iterators.exhaust(it, parameters, it.place(expr.at), "the comprehension")
        return Parameters(parameters.owners, whole, named=expr.kind == "dict", filtered=filtered)
    iterators.exhaust(it, parameters, it.place(expr.at), "the comprehension")
    return Collection("list", [element], True, it.place(expr.at), element)


def _same_tensor(element: code.Expr) -> bool:
    """Whether `v`, `v.detach()`, `v.data`: what shares its memory with the tensor it was made of."""
    while isinstance(element, (code.Attribute, code.Call)):
        if isinstance(element, code.Call):
            element = element.func
        elif element.name in ("detach", "data", "requires_grad_"):
            element = element.base
        else:
            return False
    return isinstance(element, code.Name)


def _only_trainable(condition: code.Expr) -> bool:
    names = writing.attribute_names(condition)
    return bool(names & {"requires_grad", "grad"})
