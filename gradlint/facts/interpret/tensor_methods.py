"""Methods of tensors, of their gradients, and of sets of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.events import ClipGrad, ZeroGrad
from gradlint.facts.formulas import BIT
from gradlint.facts.interpret import (
    calls,
    distributions,
    functions,
    initialisers,
    modules,
    precision,
    ranges,
    recurrences,
    shaping,
    tensors,
    training_methods,
)
from gradlint.facts.interpret.method_call import Arguments, Keywords, MethodCall
from gradlint.facts.values import (
    Collection,
    Constant,
    External,
    Form,
    FunctionValue,
    Gradient,
    Initialiser,
    Layer,
    Parameters,
    Place,
    Tensor,
    Unknown,
    Value,
    constant,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def _hooked(it: Interpreter, receiver: Value, arguments: Arguments, place: Place) -> Value:
    """A hook on a gradient: what it calls is kept, when it runs is not known."""
    if arguments and isinstance(arguments[0], FunctionValue):
        with it.taped():
            functions.enter(it, arguments[0], [Gradient(receiver)], {}, place)
    return it.unknown("handle")


def tensor(it: Interpreter, call: MethodCall[Tensor]) -> Value:
    """A method of a tensor."""
    receiver, name, arguments, keywords, place = call.receiver, call.name, call.arguments, call.keywords, call.place
    if name == "backward":
        return training_methods.backward(it, receiver, arguments, keywords, place)
    drawn = distributions.method(it, receiver, name, arguments, keywords, place)
    if drawn is not None:
        return drawn
    if name in names.CUTTING_METHODS:
        calls.record(it, f"Tensor.{name}", arguments, keywords, receiver, place, call.discarded, receiver)
        found = tensors.cut(it, receiver, names.CUTTING_METHODS[name], place)
        if name == "detach_" and isinstance(found, Tensor):
            # `for part in state: part.detach_()` cuts the state.
            it.settled.update(id(source) for source in receiver.sources)
            it.kept.extend(receiver.sources)
            receiver.roots, receiver.mystery, receiver.cuts, receiver.sources = found.roots, False, found.cuts, ()
            it.left_over = (0, {})
        return found
    stored = receiver.parameter or (receiver.owner is not None and any(cut.kind == "data" for cut in receiver.cuts))
    if stored and name.endswith("_") and initialisers.in_place(it, receiver, name, arguments, keywords, place):
        return receiver
    if name.endswith("_") and not name.startswith("_") and name not in ("requires_grad_", "detach_"):
        tensors.changed_in_place(it, receiver, f".{name}()", place)
    if name == "register_hook":
        it.emit(ClipGrad(place, it.frame.function, "own", receiver.owner or receiver, None, name))
        return _hooked(it, receiver, arguments, place)
    if name == "requires_grad_":
        tensors.require_grad(it, receiver, call.argument(0, "requires_grad") or Constant(True), place)
    if name in ("requires_grad_", "retain_grad"):
        return receiver
    if name in ("nan_to_num", "nan_to_num_"):
        calls.record(it, f"Tensor.{name}", arguments, keywords, receiver, place, call.discarded, receiver)
    if name in ("clone",):
        return tensors.derive(it, [receiver], place, keep_form=True)
    if name in names.SHAPING:
        if receiver.parameter and name in ("to", "cuda", "half", "double") and not _stays(arguments, keywords):
            moved = tensors.derive(it, [receiver], place)
            moved.owner, moved.attribute = receiver, "moved"
            return moved
        reshaped = tensors.derive(it, [receiver], place, keep_form=True)
        reshaped.form = shaping.turned(reshaped.form, name, arguments)
        if name in _PARTS:
            ranges.item(receiver, reshaped)
        if name == "gather":
            calls.record(it, "Tensor.gather", arguments, keywords, reshaped, place, call.discarded, receiver)
        precision.converted(it, receiver, reshaped, name, arguments, keywords)
        return recurrences.shaped(it, receiver, reshaped, name, arguments)
    if name in ("scatter", "scatter_") and receiver.made is not None:
        return _scattered(it, call)
    if name in names.FUNCTIONAL_ACTIVATIONS:
        dim = call.argument(0, "dim") if "softmax" in name else None
        how = Layer(f"torch.nn.functional.{name}", arguments, keywords, place)
        return tensors.activation(it, name.rstrip("_"), receiver, place, dim, how)
    if name in names.NON_DIFFERENTIABLE:
        result = tensors.cut(it, receiver, f"non-differentiable {name}", place)
        if isinstance(result, Tensor):
            result.form = None
        return result
    if name == "dim" and isinstance(receiver.owner, Layer):
        known = dict(modules.parameters(receiver.owner)).get(receiver.attribute)
        return Constant(known) if known is not None else Unknown(name)
    if name in ("size", "dim", "numel", "stride", "get_device", "is_contiguous", "element_size", "data_ptr"):
        return Unknown(name, dtype=precision.NUMBER)
    if name == "apply_" or name.startswith("__"):
        return receiver
    if name in ("div", "div_", "true_divide", "mul", "mul_", "add", "sub", "add_", "sub_", "matmul", "mm", "bmm"):
        op = {"d": "/", "t": "/", "a": "+", "s": "-"}.get(name[0], "*" if name.startswith("mul") else "@")
        return tensors.combine(it, op, receiver, arguments[0] if arguments else Unknown(), place)
    result = tensors.derive(it, [receiver, *arguments, *keywords.values()], place)
    if name == "exp":
        result.form = Form("exp", place)
    elif name == "log_prob":
        result.attribute = "log_prob"
    if name in names.REDUCTIONS:
        result.loss = receiver.loss
        pairwise = bool(arguments) and isinstance(arguments[0], Tensor)
        if name in ("max", "min") and (arguments or keywords) and not pairwise:
            return Collection("tuple", [result, tensors.cut(it, result, f"non-differentiable {name} indices", place)])
        if name == "mean":
            result.divided = True
        if name in ("mean", "sum"):
            result.cuts = (*result.cuts, *(cut for cut in receiver.cuts if cut.kind.startswith("added ")))
    elif name in ("topk", "sort"):
        return Collection("tuple", [result, tensors.cut(it, result, f"non-differentiable {name} indices", place)])
    elif name in ("split", "chunk", "unbind", "tensor_split"):
        return result
    else:
        result.chain = None
    return result


_PARTS = frozenset({"select", "narrow", "index_select", "unbind", "chunk", "split"})
"""Reshaping that leaves entries out."""


def _stays(arguments: Arguments, keywords: Keywords) -> bool:
    """Whether `.to(…)` moves nothing: parameters are made on the CPU in single precision."""
    targets = [*arguments, *keywords.values()]
    same = [
        constant(t) == "cpu" or (isinstance(t, External) and t.name in ("torch.float32", "torch.float"))
        for t in targets
    ]
    return bool(targets) and all(same)


def _scattered(it: Interpreter, call: MethodCall[Tensor]) -> Tensor:
    """`zeros.scatter_(1, labels, 1.0)` is one-hot."""
    result = tensors.derive(it, [call.receiver, *call.arguments], call.place)
    how = call.receiver.made["weight"] if call.receiver.made is not None else None
    value = call.argument(2, "value") or call.keywords.get("src")
    if isinstance(how, Initialiser) and how.kind == "zeros" and constant(value) in (1, 1.0):
        ranges.leaf(result, BIT, "one_hot")
        if call.name.endswith("_"):
            call.receiver.formula = result.formula
    return result


def gradient(it: Interpreter, call: MethodCall[Gradient]) -> Value:
    """A method of `parameter.grad`."""
    receiver, name, place = call.receiver, call.name, call.place
    from gradlint.facts.interpret.assign import gradient_owner

    owner = gradient_owner(receiver.owner)
    if name in ("zero_", "detach_") or (
        name in ("fill_", "mul_", "copy_") and call.arguments and constant(call.arguments[0]) in (0, 0.0)
    ):
        if name != "detach_":
            it.emit(ZeroGrad(place, it.frame.function, owner, in_place=True))
        return receiver
    if name in ("clamp_", "clip_"):
        limit = call.argument(1, "max") or call.argument(0, "min")
        it.emit(ClipGrad(place, it.frame.function, "value", owner, limit, call.hint))
        return receiver
    if name == "nan_to_num_":
        calls.record(it, f"Gradient.{name}", call.arguments, call.keywords, receiver, place, call.discarded, receiver)
    if name.endswith("_"):
        it.grad_edited(owner, place.at, name in ("copy_", "fill_", "set_"))
        return receiver
    calls.record(it, f"Gradient.{name}", call.arguments, call.keywords, receiver, place, call.discarded, receiver)
    return receiver


def parameter_set(it: Interpreter, call: MethodCall[Parameters]) -> Value:
    """A method of what `parameters()` gave."""
    receiver = call.receiver
    if receiver.named and call.name == "items":
        return receiver
    if receiver.named and call.name == "values":
        return Parameters(receiver.owners, receiver.whole, filtered=receiver.filtered)
    given = call.arguments[0] if len(call.arguments) == 1 else None
    if call.name in ("extend", "append") and given is not None:
        own = isinstance(given, Parameters)
        receiver.owners = (*receiver.owners, *(given.owners if isinstance(given, Parameters) else (given,)))
        receiver.whole = receiver.whole and own and (not isinstance(given, Parameters) or given.whole)
        return Constant(None)
    return it.unknown(call.name, "call", receiver.owners)
