"""Methods of values nobody has seen made: what the name and the role of the receiver tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.events import Backward, ClipGrad, Escape, Freeze, ZeroGrad
from gradlint.facts.interpret import (
    assign,
    calls,
    forward,
    frameworks,
    module_methods,
    precision,
    recurrences,
    shaping,
    tensors,
    training_methods,
)
from gradlint.facts.interpret.method_call import Arguments, Keywords, MethodCall
from gradlint.facts.merging import merge
from gradlint.facts.roles import carries_graph, last_name, loss_like, role
from gradlint.facts.values import Constant, Place, Tensor, Unknown, Value, number

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def unknown(it: Interpreter, call: MethodCall[Unknown]) -> Value:
    """A method of a value that nobody has seen made."""
    receiver, name, place, hint = call.receiver, call.name, call.place, call.hint
    arguments, keywords = call.arguments, call.keywords
    if not it.forwards:
        it.facts.asked.update((name, number) for number in it.repeats)
    found = frameworks.unknown_method(it, receiver, name, arguments, keywords, place, hint)
    if found is not None:
        return found
    kind = role(receiver)
    if name == "backward":
        return _unknown_backward(it, receiver, arguments, keywords, place)
    if name == "zero_grad":
        it.emit(ZeroGrad(place, it.frame.function, receiver))
        return Constant(None)
    if kind == "optimizer" and (name != "step" or not isinstance(arguments[0] if arguments else None, (Tensor,))):
        return training_methods.optimizer(it, call)
    if kind == "scheduler":
        return training_methods.scheduler(it, call)
    if kind == "scaler":
        return training_methods.scaler(it, call)
    known = name in module_methods.MODULE and name not in ("forward", "type", "compile", "float")
    if kind in ("module", "manager") and known:
        if name in ("train", "eval") and arguments and not isinstance(arguments[0], (Constant, Unknown)):
            return calls.unseen(it, arguments, keywords, place, hint, receiver)
        return module_methods.MODULE[name](it, call)
    if name in ("parameters", "named_parameters") and not arguments:
        # Whatever has parameters is a module from here on, also where it is called.
        receiver.uses = receiver.uses | {name}
    if name == "requires_grad_" and kind != "tensor":
        return module_methods.requires_grad(it, call)
    if name == "register_forward_hook":
        return module_methods.forward_hook(it, call)
    if name in ("parameters", "named_parameters", "state_dict") and not arguments:
        return module_methods.MODULE[name](it, call)
    if kind == "module" and name in ("forward", "__call__"):
        return forward.run(it, receiver, arguments, keywords, place)
    if name in ("register_hook", "register_full_backward_hook"):
        it.emit(ClipGrad(place, it.frame.function, "own", receiver, None, name))
        return it.unknown("handle")
    if name in names.CUTTING_METHODS:
        return tensors.cut(it, receiver, names.CUTTING_METHODS[name], place)
    if name == "requires_grad_" and not kind:
        wanted = call.argument(0, "requires_grad") or Constant(True)
        it.emit(Freeze(place, it.frame.function, receiver, tensors.switch(wanted)))
    if name == "clone" and not kind and not carries_graph(receiver):
        # Only tensors have it: a copy of something without a graph may be made a leaf.
        copied = Tensor(mystery=False, hint=receiver.hint, place=place, dtype=receiver.dtype, shape=receiver.shape)
        copied.formula = receiver.formula
        return copied
    if (
        name in names.SHAPING
        or name in ("requires_grad_", "clone")
        or (name in names.REDUCTIONS and loss_like(receiver))
    ):
        shaped = recurrences.shaped(it, receiver, shaping.apart(it, receiver, name), name, arguments)
        return precision.converted(it, receiver, shaped, name, arguments, keywords)
    if name in names.FUNCTIONAL_ACTIVATIONS:
        return tensors.activation(it, name.rstrip("_"), receiver, place, call.argument(0, "dim"))
    if name in ("append", "extend") and arguments:
        assign.gathered(it, hint.rpartition(".")[0], arguments[0], receiver, name, place)
    if name in ("items", "values", "keys"):
        return Unknown(receiver.hint, receiver.origin, touched=receiver.touched)
    if name in ("get", "pop") and arguments and isinstance(arguments[0], Constant):
        from gradlint.facts.interpret.attributes import part

        found = part(it, receiver, f"[{arguments[0].value!r}]", f"{receiver.hint}[{arguments[0].value!r}]")
        return _or_fallback(found, arguments[1] if len(arguments) > 1 else None)
    if kind == "module" and name in ("from_pretrained", "from_config", "load_from_checkpoint"):
        return it.unknown("model", "call")
    if kind == "module" and not _calls_quietly(name):
        inside = [*arguments, *keywords.values()]
        if name not in ("save_pretrained", "save", "log", "generate"):
            found = forward.unseen(it, receiver, inside, {}, place)
            if not loss_like(Unknown(name)):
                found.attribute = "unseen"
            return found
    held = tuple(part for part in receiver.touched if role(part) in ("optimizer", "scheduler", "scaler"))
    if held:
        # Whoever was given an optimizer may step or clear it in any of its methods.
        it.emit(Escape(place, it.frame.function, held, hint))
    return calls.unseen(it, arguments, keywords, place, hint, receiver if kind else None)


def _or_fallback(found: Value, fallback: Value | None) -> Value:
    """`config.get("lr", 1e-3)` of a config read from a file: the number is what holds unless a user sets another."""
    known = number(fallback)
    if not known or not isinstance(found, Unknown) or not isinstance(fallback, Constant):
        return found
    return merge([found, Constant(fallback.value, default=True, place=fallback.place)])


_QUIET = (
    "log",
    "print",
    "save",
    "load",
    "plot",
    "eval",
    "valid",
    "test",
    "info",
    "write",
    "add_",
    "record",
    "report",
    "show",
    "close",
    "reset",
)


def _calls_quietly(name: str) -> bool:
    """Whether a method is named like one that only looks."""
    return name.lstrip("_").startswith(_QUIET)


def _unknown_backward(
    it: Interpreter, receiver: Unknown, arguments: Arguments, keywords: Keywords, place: Place
) -> Value:
    first = arguments[0] if arguments else None
    manages = role(receiver) in ("manager", "optimizer", "module", "scaler") or last_name(receiver.hint) in (
        "self",
        "trainer",
    )
    if first is not None and (manages or (isinstance(first, Tensor) and first.loss is not None) or loss_like(first)):
        it.emit(Backward(place, it.frame.function, first, via=receiver, scaled=True))
        return Constant(None)
    return training_methods.backward(it, receiver, arguments, keywords, place)
