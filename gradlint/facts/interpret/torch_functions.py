"""Layers, parameters and the functions of torch and torch.nn.functional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.interpret import assign, losses, methods, modules, tensors
from gradlint.facts.interpret.method_call import Arguments, Keywords, argument
from gradlint.facts.values import (
    UNKNOWN_START,
    Collection,
    Constant,
    External,
    Form,
    Gradient,
    Layer,
    Place,
    Tensor,
    Unknown,
    Value,
    constant,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


_PRODUCTS = frozenset({"mm", "matmul", "bmm", "spmm"})


def layer(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """A layer of torch.nn."""
    if name in ("torch.nn.Parameter", "torch.nn.UninitializedParameter"):
        return parameter(it, name, arguments, keywords, place)
    if name == "torch.nn.Module":
        return Layer(name, arguments, keywords, place, complete=False)
    found = Layer(name, arguments, keywords, place)
    it.journal.born(found.started)
    if found.name in names.CONTAINERS:
        modules.container(found)
    it.made(found)
    if it.once("layer", place):
        it.facts.layers.append(found)
    return found


def parameter(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`nn.Parameter(...)`."""
    data = arguments[0] if arguments else keywords.get("data")
    found = Tensor(mystery=False, parameter=True, hint="parameter", place=place, attribute="weight")
    found.made = dict(data.made) if isinstance(data, Tensor) and data.made is not None else {"weight": UNKNOWN_START}
    frozen = keywords.get("requires_grad") or (arguments[1] if len(arguments) > 1 else None)
    if not (isinstance(frozen, Constant) and frozen.value is False):
        found.roots = frozenset((found,))
        found.mystery = frozen is not None and not isinstance(frozen, Constant)
    return found


def functional(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """A function of torch.nn.functional, by its last name."""
    if name in names.FUNCTIONAL_LOSSES:
        return losses.apply(it, names.FUNCTIONAL_LOSSES[name], External(f"F.{name}"), arguments, keywords, place, {})
    source = arguments[0] if arguments else keywords.get("input", Unknown("input"))
    if name in names.FUNCTIONAL_ACTIVATIONS:
        dim = argument(arguments, keywords, 1, "dim") if "softmax" in name else None
        how = Layer(f"torch.nn.functional.{name}", arguments[1:], keywords, place)
        return tensors.activation(it, name.rstrip("_"), source, place, dim, how)
    if name == "one_hot":
        return tensors.cut(it, source, "non-differentiable one_hot", place)
    from gradlint.facts.values import Operation

    base = source.chain if isinstance(source, Tensor) else None
    kinds = {"dropout": "dropout", "layer_norm": "norm", "batch_norm": "norm", "group_norm": "norm", "rms_norm": "norm"}
    kind = "pool" if "pool" in name else kinds.get(name, "unknown")
    called: Value = Layer(f"torch.nn.functional.{name}", arguments[1:], keywords, place)
    weight = argument(arguments, keywords, 1, "weight")
    if name == "linear" and isinstance(weight, Tensor) and weight.parameter:
        kind, called = "linear", Layer("transposed", [weight], {}, place)
    op = Operation(kind, called, place, base, depth=base.depth + 1 if base else 1)
    sources = [*arguments, *keywords.values()]
    result = tensors.derive(it, sources, place, keep_form=name.startswith("dropout"), op=op)
    if kind == "linear":
        result.form = Form("linear", place)
    return result


def tensor_function(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`torch.name(...)`."""
    first = arguments[0] if arguments else keywords.get("input")
    if name.endswith("_"):
        for part in tensors.parts([first]):
            if isinstance(part, Gradient):
                it.grad_edited(assign.gradient_owner(part.owner), place.at)
    if name == "zeros_like" and isinstance(first, Gradient):
        return tensors.fresh(it, "zeros", arguments, keywords, place)
    if name in ("tensor", "as_tensor", "Tensor", "FloatTensor", "from_numpy"):
        wants = constant(keywords.get("requires_grad"))
        if isinstance(first, Collection) and any(isinstance(part, Tensor) for part in tensors.parts([first])):
            first = tensors.derive(it, [first], place)
            name = "tensor"
        if len(arguments) > 1 and name in ("Tensor", "FloatTensor"):
            return tensors.fresh(it, "empty", arguments, keywords, place)
        cut = tensors.cut(it, first, "tensor", place) if isinstance(first, (Tensor, Unknown)) else None
        if isinstance(cut, Tensor) and name != "as_tensor":
            cut.attribute = "requires_grad" if wants else ""
            return cut
        if isinstance(first, Tensor) and name == "as_tensor":
            if first.roots and all(isinstance(root, Unknown) for root in first.roots):
                # Who makes a tensor of it takes what unseen code gave for none.
                return Tensor(hint=first.hint, place=place)
            return first
        found = tensors.fresh(it, "tensor", arguments, keywords, place)
        if wants:
            found.roots, found.attribute = frozenset((found,)), "leaf"
        return found
    if name in names.FACTORIES and name not in ("zeros_like", "ones_like"):
        found = tensors.fresh(it, name, arguments, keywords, place)
        if constant(keywords.get("requires_grad")) is True:
            found.roots, found.attribute, found.parameter, found.owner = frozenset((found,)), "leaf", True, found
        return found if name != "load" else Unknown("checkpoint", "value")
    if name in names.FUNCTIONAL_ACTIVATIONS and first is not None:
        return tensors.activation(it, name.rstrip("_"), first, place, argument(arguments, keywords, 1, "dim"))
    if name in ("cat", "concat", "stack", "hstack", "vstack", "concatenate"):
        joined = tensors.derive(it, [first], place)
        joint = tensors.parts([first])
        if len(joint) > 1:
            joined.chain = None
        forms = [part.form for part in joint if isinstance(part, Tensor) and part.form is not None]
        if forms and len(forms) == len(joint) and len({form.kind for form in forms}) == 1:
            joined.form = Form(forms[0].kind, forms[0].place)
        return joined
    if name in _PRODUCTS and len(arguments) == 2:
        return tensors.combine(it, "@", arguments[0], arguments[1], place)
    if isinstance(first, Tensor):
        return methods.call(it, first, name, arguments[1:], keywords, place, f"torch.{name}")
    if name in names.NON_DIFFERENTIABLE and first is not None:
        return tensors.cut(it, first, f"non-differentiable {name}", place)
    if first is None or not tensors.parts([*arguments, *keywords.values()]):
        return it.unknown(name, "call")
    return tensors.derive(it, [*arguments, *keywords.values()], place)
