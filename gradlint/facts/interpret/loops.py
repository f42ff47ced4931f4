"""What a `for` loops over: items that can be gone through one by one, or one item that stands for all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.interpret import datasets, initialisers, modules, ranges, tensors
from gradlint.facts.merging import merge
from gradlint.facts.roles import last_name
from gradlint.facts.shapes import BATCH
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    Instance,
    Layer,
    Loader,
    Mapping,
    Parameters,
    Steps,
    Tensor,
    Unknown,
    Value,
    integer,
    is_module,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_BATCHES = re.compile(r"loader|batches", re.IGNORECASE)

UNROLL = 256
"""Iterations over known items that are gone through one by one; a longer loop is run as a repeated body."""


def items_of(it: Interpreter, iterable: Value, node: code.For) -> tuple[list[Value], bool]:
    """The items of a loop and whether they are all of them; else a list of one value that stands for each item."""
    if initialisers.INITIALISING & it.names_in(node) and not {"grad", "backward"} & it.names_in(node):
        every = _initialised(iterable)
        if every:
            return every, True
    known = elements(it, iterable)
    if isinstance(iterable, Steps) and _ranges(iterable) and not _builds(it, node):
        known = None
    if known is not None and len(known) <= UNROLL:
        return known, True
    return [any_element(it, iterable)], False


def _initialised(iterable: Value) -> list[Value]:
    """The items of a loop that sets weights: each known module, or each known parameter by its name."""
    if isinstance(iterable, Collection) and iterable.open:
        known = [item for item in iterable.items if isinstance(item, (Instance, Layer, Collection))]
        return [*known, Unknown("m", "item")] if known and len(known) == len(iterable.items) <= UNROLL else []
    if not isinstance(iterable, Parameters) or not all(is_module(owner) for owner in iterable.owners):
        return []
    items: list[Value] = []
    for owner in iterable.owners:
        if not modules.complete(owner) or _own_parameters(owner):
            return []
        for path, layer in modules.paths(owner):
            for name, _ in modules.parameters(layer) if isinstance(layer, Layer) else ():
                tensor = Tensor(
                    roots=frozenset((layer,)), mystery=False, parameter=True, owner=layer, hint=name, attribute=name
                )
                label = Constant(f"{path}.{name}" if path else name)
                items.append(Collection("tuple", [label, tensor]) if iterable.named else tensor)
    return items if len(items) <= UNROLL else []


def _own_parameters(owner: Value) -> bool:
    return any(
        isinstance(value, Tensor) and value.parameter
        for part in modules.walk(owner)
        if isinstance(part, Instance)
        for value in part.attributes.values()
    )


def elements(it: Interpreter, iterable: Value) -> list[Value] | None:
    """All items of something, in order, or None."""
    if isinstance(iterable, Collection):
        if iterable.open:
            return None
        return [parameter_of(item) if isinstance(item, Parameters) else item for item in iterable.items]
    if isinstance(iterable, Parameters):
        return [parameter_of(iterable)]
    if isinstance(iterable, Layer) and iterable.complete and iterable.name in ("Sequential", "ModuleList"):
        return list(iterable.children)
    if isinstance(iterable, Layer) and iterable.complete and iterable.name == "ModuleDict":
        return [Constant(name) for name in iterable.names]
    if isinstance(iterable, Mapping) and not iterable.open:
        return [Constant(key) for key in iterable.items if isinstance(key, (str, int))]
    if isinstance(iterable, Instance) and any(
        name.endswith((".ModuleList", ".Sequential")) for name in iterable.cls.externals()
    ):
        return None
    if isinstance(iterable, Instance):
        return iterable.fields
    if isinstance(iterable, Steps):
        return _steps(it, iterable)
    return None


def _steps(it: Interpreter, steps: Steps) -> list[Value] | None:
    if steps.kind == "range":
        bounds = [integer(value) for value in steps.arguments]
        if None in bounds or not 1 <= len(bounds) <= 3 or (len(bounds) == 3 and bounds[2] == 0):
            return None
        numbers = range(*[b for b in bounds if b is not None])
        return [Constant(number) for number in numbers] if len(numbers) <= UNROLL else None
    parts = [elements(it, argument) for argument in steps.arguments]
    if steps.kind == "enumerate":
        if not parts or parts[0] is None:
            return None
        return [Collection("tuple", [Constant(index), item]) for index, item in enumerate(parts[0])]
    if steps.kind == "zip":
        if any(part is None for part in parts):
            return None
        columns = [part for part in parts if part is not None]
        return [Collection("tuple", list(row)) for row in zip(*columns, strict=False)]
    if steps.kind == "reversed" and parts and parts[0] is not None:
        return parts[0][::-1]
    return None


def _ranges(steps: Steps) -> bool:
    return steps.kind == "range" or any(isinstance(a, Steps) and _ranges(a) for a in steps.arguments)


def _builds(it: Interpreter, node: code.For) -> bool:
    """Whether a counted loop builds or applies layers, so that it is worth going through one by one."""
    if it.forwards:
        return True
    names = it.names_in(node)
    if names & {"backward", "step", "zero_grad"}:
        return False
    return it.frame.function.endswith("__init__") or bool(
        names & {"append", "add_module", "extend", "insert", "setattr", "nn"}
    )


def parameter_of(parameters: Parameters) -> Value:
    """The value that stands for each parameter of a set."""
    owner: Value = parameters.owners[0] if len(parameters.owners) == 1 else Collection("tuple", list(parameters.owners))
    tensor = Tensor(
        roots=frozenset(parameters.owners), mystery=False, parameter=True, owner=owner, hint="p", attribute="*"
    )
    return Collection("tuple", [Unknown("name"), tensor]) if parameters.named else tensor


def any_element(it: Interpreter, iterable: Value | None) -> Value:
    """One value that stands for every item of something."""
    if isinstance(iterable, Collection):
        if iterable.element is not None:
            return iterable.element
        if iterable.items:
            return merge(iterable.items)
    entry = datasets.element(it, iterable)
    if entry is not None:
        return entry
    if isinstance(iterable, Steps):
        if iterable.kind == "enumerate" and iterable.arguments:
            return Collection("tuple", [it.unknown("i", "item"), any_element(it, iterable.arguments[0])])
        if iterable.kind == "zip":
            return Collection("tuple", [any_element(it, argument) for argument in iterable.arguments])
        if iterable.kind == "items":
            return Collection("tuple", [it.unknown("key", "item"), any_element(it, iterable.arguments[0])])
        if iterable.kind == "reversed" and iterable.arguments:
            return any_element(it, iterable.arguments[0])
        return it.unknown("i", "item")
    if isinstance(iterable, Parameters):
        return parameter_of(iterable)
    if isinstance(iterable, Layer) and iterable.children:
        found = modules.children(iterable)
        return found[0][1] if len(found) == 1 else it.unknown(last_name(iterable.name), "item", (iterable,))
    if isinstance(iterable, Mapping) and iterable.items:
        return it.unknown("key", "item")
    if isinstance(iterable, Unknown):
        hint = last_name(iterable.hint)
        single = hint[:-1] if hint.endswith("s") else hint
        shape = BATCH if _BATCHES.search(hint) else None
        return Unknown(single, "item", touched=iterable.touched, graph=iterable.graph, shape=shape)
    if isinstance(iterable, Choice):
        sets = [option for option in iterable.options if isinstance(option, Parameters)]
        if len(sets) == len(iterable.options):
            owner = merge(owner for one in sets for owner in one.owners)
            return parameter_of(Parameters((owner,), all(one.whole for one in sets), named=sets[0].named))
        return any_element(it, iterable.options[0])
    if isinstance(iterable, Tensor) and (iterable.roots or iterable.cuts):
        part = tensors.derive(it, [iterable], it.place(None), keep_form=True, hint=iterable.hint)
        ranges.item(iterable, part)
        return part
    batch = it.unknown("batch", "item")
    batch.shape = BATCH if isinstance(iterable, Loader) else None
    return batch
