"""`value.name` for every kind of value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.formulas import EVERYTHING
from gradlint.facts.interpret import classes, functions, modules, precision, ranges, tensors
from gradlint.facts.merging import merge
from gradlint.facts.roles import role
from gradlint.facts.shapes import BATCH
from gradlint.facts.torch_names import SHAPING, canonical
from gradlint.facts.values import (
    NONE,
    Choice,
    ClassValue,
    Collection,
    Constant,
    External,
    FunctionValue,
    Gradient,
    Instance,
    Layer,
    LocalModule,
    Manager,
    Mapping,
    Method,
    Optimizer,
    Super,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


_NUMBERS = {"pi": math.pi, "e": math.e}


def read(it: Interpreter, value: Value, name: str, expr: code.Attribute) -> Value:
    """What `value.name` stands for."""
    if isinstance(value, Unknown):
        return _of_unknown(it, value, name, expr)
    if isinstance(value, External):
        if name in _NUMBERS and value.name in ("math", "numpy", "torch"):
            return Constant(_NUMBERS[name])
        return (
            Constant(value.name.rpartition(".")[2])
            if name == "__name__"
            else External(canonical(f"{value.name}.{name}"))
        )
    if isinstance(value, Instance):
        return of_instance(it, value, name, expr)
    if isinstance(value, LocalModule):
        found = value.scope.get(name)
        if found is not None:
            return found
        inner = it.project.submodule(it, value.scope, name)
        return LocalModule(inner) if inner is not None else Unknown(name, "import")
    if isinstance(value, Tensor):
        return _of_tensor(it, value, name, expr)
    if isinstance(value, Layer):
        from gradlint.facts.interpret.writing import text_of

        return _of_layer(value, name, text_of(expr))
    if isinstance(value, ClassValue):
        if name == "__name__":
            return Constant(value.name)
        hit = value.find(name)
        return hit[0] if hit is not None else Method(value, name)
    if isinstance(value, Super):
        hit = _after(value, name)
        if hit is not None:
            return functions.bound(hit[0], value.receiver, hit[1]) if isinstance(hit[0], FunctionValue) else hit[0]
        return Method(value, name)
    if isinstance(value, Mapping):
        return value.items[name] if name in value.items else Method(value, name)
    if isinstance(value, Choice):
        return merge(read(it, option, name, expr) for option in value.options)
    if (
        isinstance(value, Collection)
        and name in ("values", "indices")
        and len(value.items) == 2
        and value.kind == "tuple"
    ):
        return value.items[name == "indices"]
    if isinstance(value, Gradient) and name in ("data", "T"):
        return value
    if isinstance(value, Optimizer) and name in ("param_groups", "state"):
        return Unknown(name, "attribute", touched=(value,))
    if isinstance(value, Manager) and value.kind == "deepspeed" and name in ("optimizer", "module"):
        return value
    return Method(value, name)


def _of_unknown(it: Interpreter, value: Unknown, name: str, expr: code.Attribute) -> Value:
    if name == "grad":
        return Gradient(value)
    if name == "data":
        if role(value) == "" and not value.parts.get("data"):
            return tensors.cut(it, value, "data", it.place(expr.at)) if value.origin != "item" else value
        return value
    from gradlint.facts.interpret.writing import text_of

    return part(it, value, name, text_of(expr))


def part(it: Interpreter, value: Unknown, key: str, path: str) -> Value:
    """An attribute or item of something unseen: the same each time it is read."""
    found = value.parts.get(key)
    if found is None:
        from gradlint.facts.interpret.writing import uses_of

        touched = (value,) if key == "param_groups" else value.touched
        origin = value.origin if value.origin in ("item", "call") else "attribute"
        found = Unknown(path if path != "…" else key, origin, uses_of(it, path), touched, graph=value.graph)
        found.dtype = precision.NUMBER if key in ("shape", "ndim") else value.dtype if key.startswith("[") else ""
        found.shape = value.shape if value.shape == BATCH or key == "values" else None
        value.parts[key] = found
        if id(value) in it.births:
            it.born(found, it.births[id(value)])
        if key.startswith("[") or key == "values":
            ranges.item(value, found)
        elif key in ("real", "imag"):
            ranges.leaf(found, EVERYTHING, key)
    return found


def param_groups_of(value: Unknown) -> Value | None:
    """The optimizer whose `param_groups` an unknown value comes from."""
    return next((t for t in value.touched if role(t) == "optimizer"), None)


def of_instance(it: Interpreter, value: Instance, name: str, expr: code.Attribute | None) -> Value:
    """An attribute of a local object: set, inherited, a module's own, or set by a method that has not run yet."""
    if name == "__class__":
        return value.cls
    if it.forwards and it.forwards[-1] is value:
        it.reads.add(name)
    found = value.attributes.get(name)
    if found is not None:
        return found
    hit = value.cls.find(name)
    if hit is not None:
        member, owner = hit
        if isinstance(member, FunctionValue):
            if functions.is_property(it, member):
                return functions.enter(
                    it, functions.bound(member, value, owner), [], {}, it.place(expr.at if expr else None)
                )
            return functions.bound(member, value, owner)
        return member
    if name not in value.pending and classes.discover(it, value, name):
        return value.attributes[name]
    if value.kind in ("module", "lightning", "dataset", "optimizer"):
        if name == "training":
            return it.unknown("self.training")
        if name == "module":
            return value
        if value.kind == "module" and name in modules.MODULE_METHODS:
            return Method(value, name)
        if value.kind == "optimizer" or name in modules.MODULE_METHODS or name in modules.LIGHTNING_METHODS:
            return Method(value, name)
    from gradlint.facts.interpret.writing import uses_of

    path = f"self.{name}"
    # What a base class out of sight sets may be a parameter.
    missing = Unknown(path, "attribute", uses_of(it, path), graph=_extends_unseen(value.cls))
    value.attributes[name] = missing
    return missing


def _extends_unseen(cls: ClassValue) -> bool:
    known = ("torch.", "lightning.", "abc.", "typing.", "collections.", "enum.", "object")
    return cls.opaque or not all(name.startswith(known) for name in cls.externals())


def _of_tensor(it: Interpreter, value: Tensor, name: str, expr: code.Attribute) -> Value:
    if name == "grad":
        return Gradient(value)
    if name == "data":
        cut = tensors.cut(it, value, "data", it.place(expr.at))
        if isinstance(cut, Tensor) and value.parameter:
            cut.owner, cut.attribute, cut.hint = value.owner, value.attribute, value.hint
        return cut
    if name in (
        "shape",
        "device",
        "dtype",
        "ndim",
        "is_cuda",
        "requires_grad",
        "grad_fn",
        "is_leaf",
        "names",
        "layout",
    ):
        return Unknown(name, dtype=precision.NUMBER if name in ("shape", "ndim") else "")
    if name in ("real", "imag"):
        part = tensors.derive(it, [value], it.place(expr.at), hint=value.hint)
        ranges.leaf(part, EVERYTHING, name)
        return part
    if name in SHAPING:
        return tensors.derive(it, [value], it.place(expr.at), keep_form=True, hint=value.hint)
    if value.parameter:
        # What own code keeps on a parameter: `p.grad_sample`.
        return it.unknown(name, "attribute")
    part = tensors.derive(it, [value], it.place(expr.at), hint=name)
    part.form = tensors.named_output(value, name, it.place(expr.at))
    part.chain = None
    part.loss = External(name) if name.endswith("loss") else None
    return part


_SIZES = {
    "in_features": (0, "in_features"), "out_features": (1, "out_features"), "in_channels": (0, "in_channels"),
    "out_channels": (1, "out_channels"), "hidden_size": (1, "hidden_size"), "input_size": (0, "input_size"),
    "num_embeddings": (0, "num_embeddings"), "embedding_dim": (1, "embedding_dim"), "kernel_size": (2, "kernel_size"),
    "num_features": (0, "num_features"),
}  # fmt: skip


def _of_layer(value: Layer, name: str, path: str) -> Value:
    if name in value.names:
        return value.children[value.names.index(name)]
    if name == "__class__":
        return External(value.kind)
    if name == "bias" and modules.biasless(value):
        return NONE
    if name in ("weight", "bias") or name.startswith(("weight_", "bias_", "in_proj")):
        return Tensor(frozenset((value,)), mystery=False, parameter=True, owner=value, attribute=name, hint=name)
    if name == "module":
        return value
    if name in _SIZES:
        found = value.argument(*_SIZES[name])
        return found if found is not None else Unknown(name)
    if name == "training":
        return Unknown("training")
    if modules.vision_part(value, name):
        found = Unknown(path, "attribute", touched=(value,))
        value.names.append(name)
        value.children.append(found)
        return found
    return Method(value, name)


def _after(value: Super, name: str) -> tuple[Value, ClassValue] | None:
    """The next definition of `name` after `value.owner` in the receiver's lineage."""
    receiver = value.receiver
    start = (
        receiver.cls
        if isinstance(receiver, Instance)
        else receiver
        if isinstance(receiver, ClassValue)
        else value.owner
    )
    seen_owner = False
    for base in start.lineage():
        if seen_owner and isinstance(base, ClassValue) and name in base.attributes:
            return base.attributes[name], base
        if seen_owner and name == "__init__" and isinstance(base, External) and base.name.startswith("torch.nn."):
            return None
        if base is value.owner:
            seen_owner = True
    return None
