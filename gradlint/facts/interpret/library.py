"""Calls of installed names: which of them gradlint knows, and what becomes of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.events import Escape
from gradlint.facts.interpret import (
    calls,
    datasets,
    distributions,
    frameworks,
    initialisers,
    precision,
    python_functions,
    ranges,
    shaping,
    tensors,
    torch_functions,
    training_functions,
)
from gradlint.facts.interpret.method_call import Arguments, Handler, Keywords
from gradlint.facts.roles import interesting, last_name
from gradlint.facts.values import (
    UNKNOWN_START,
    Choice,
    Constant,
    Context,
    Layer,
    Place,
    Scaler,
    Tensor,
    Unknown,
    Value,
    is_module,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_NUMERIC = ("torch.", "torch.nn.functional.", "torch.Tensor.", "torch.linalg.", "torch.special.")


def call(
    it: Interpreter,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool = False,
) -> Value:
    """The result of calling an installed name, and what it does to its arguments."""
    result = _call(it, name, arguments, keywords, place, hint)
    precision.outside(name, result)
    ranges.drawn(name, arguments, result)
    shaping.outside(name, arguments, keywords, result)
    if name.startswith(_NUMERIC):
        ranges.operation(it, name.rpartition(".")[2], arguments, result, place, keywords)
    if name.startswith(("torch", "lightning", "transformers", "accelerate")) or "." in name:
        calls.record(it, name, arguments, keywords, result, place, discarded)
    return result


def _call(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place, hint: str) -> Value:
    handler = _EXACT.get(name)
    if handler is not None:
        return handler(it, name, arguments, keywords, place)
    if name.endswith(".__init__") and it.frames and arguments and arguments[0] is it.frame.receiver:
        return python_functions._super_init(it, name, arguments, keywords, place)
    if training_functions.is_optimizer(name):
        return training_functions.optimizer(it, name, arguments, keywords, place)
    if name.startswith(names.SCHEDULER_PREFIXES) or last_name(name) in names.SCHEDULER_FACTORIES:
        return training_functions.scheduler(it, name, arguments, keywords, place)
    if name in names.SCALERS:
        found = Scaler(name, keywords.get("enabled") or _enabled(name, arguments), place)
        if it.once("scaler", place):
            it.facts.scalers.append(found)
        return found
    if name in names.AUTOCAST:
        return Context("autocast", keywords.get("enabled"), place, precision.autocast(name, arguments, keywords))
    if name in names.CLIPPERS:
        return training_functions.clip(it, name, arguments, keywords, place)
    if name in names.WRAPPERS and (arguments or "module" in keywords):
        wrapped = arguments[0] if arguments else keywords["module"]
        if isinstance(wrapped, Layer) and name.endswith((".spectral_norm", ".orthogonal")):
            it.journal.write(wrapped.started, "weight", UNKNOWN_START)
        return (
            wrapped
            if is_module(wrapped) or isinstance(wrapped, (Unknown, Choice))
            else it.unknown(last_name(name), "call")
        )
    if name.startswith("torch.nn.init."):
        return initialisers.function(it, name, arguments, keywords, place)
    if name.startswith("torch.nn.functional."):
        return torch_functions.functional(it, name.rpartition(".")[2], arguments, keywords, place)
    if name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper():
        return torch_functions.layer(it, name, arguments, keywords, place)
    if name.startswith("torch.Tensor."):
        return torch_functions.tensor_function(it, name.rpartition(".")[2], arguments, keywords, place)
    if name.startswith("torch.") and name.count(".") == 1:
        return torch_functions.tensor_function(it, name[6:], arguments, keywords, place)
    if name == "torch.sparse.mm":
        return torch_functions.tensor_function(it, "mm", arguments, keywords, place)
    if name.startswith(("torch.linalg.", "torch.special.", "torch.fft.", "einops.")):
        return tensors.derive(it, [*arguments, *keywords.values()], place)
    for construct in (frameworks.construct, distributions.construct, datasets.construct):
        made = construct(it, name, arguments, keywords, place)
        if made is not None:
            return made
    return unknown_function(it, name, arguments, keywords, place, hint)


def _enabled(name: str, arguments: Arguments) -> Value | None:
    return next((a for a in arguments if isinstance(a, Constant) and isinstance(a.value, bool)), None)


def _sized(name: str) -> bool:
    """Whether a function of numpy makes something new, of which its arguments are the size: `numpy.ones(shape)`."""
    return name.startswith("numpy.random.") or last_name(name) in names.FACTORIES


def unknown_function(
    it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place, hint: str
) -> Value:
    """An installed function nobody described."""
    values = [*arguments, *keywords.values()]
    if name.startswith(("numpy.", "scipy.", "math.")) and not _sized(name):
        outside = tensors.outside(it, values, name, place)
        if outside is not None:
            return outside
    if name.startswith(names.HARMLESS_PREFIXES):
        return it.unknown(last_name(name), "value")
    last = last_name(name)
    if name.startswith("torch.utils.data."):
        return it.unknown(last, "value")
    if _makes_module(name):
        made = Layer(name, arguments, keywords, place, complete=False)
        it.made(made)
        return made
    values = [*arguments, *keywords.values()]
    escaping = tuple(v for v in values if interesting(v) and not isinstance(v, Tensor))
    if escaping:
        it.emit(Escape(place, it.frame.function, escaping, hint))
    inside = tensors.parts(values)
    if any(isinstance(part, Tensor) and (part.roots or part.cuts) for part in inside):
        result = tensors.derive(it, values, place, hint=last)
        result.mystery = result.mystery or not result.roots
        result.chain, result.optional = None, True
        if not name.startswith("torch"):
            result.attribute = "unseen"
        return result
    return it.unknown(last, "call", (*escaping, *[p for p in inside if isinstance(p, Tensor)]))


def _makes_module(name: str) -> bool:
    last = last_name(name)
    if name.startswith(("torchvision.models.", "timm.create_model", "torch.hub.load", "segmentation_models_pytorch.")):
        return not last.endswith("_Weights") and "_Weights." not in name
    if name.startswith(("transformers.", "peft.", "diffusers.", "sentence_transformers.")):
        if last in ("from_pretrained", "from_config") or "For" in last or last.endswith("Model"):
            owner = name.split(".")[-2] if last.startswith("from_") else last
            return (
                "Model" in owner
                or "For" in owner
                or "Transformer" in owner
                or owner.startswith(("UNet", "Autoencoder"))
            )
        return last == "get_peft_model"
    return name.startswith("torch_geometric.nn.") and last[:1].isupper()


_EXACT: dict[str, Handler] = {**python_functions.HANDLERS, **training_functions.HANDLERS}
