"""GL710: a softmax or cross-entropy over a single output unit, which is constant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.facts.values import Layer, Place, Tensor, Value, integer
from gradlint.options import Options

_HEADS = frozenset({"fc", "classifier", "head", "last_linear"})
_PRETRAINED = ("torchvision.models.", "timm.create_model")
_SOFTMAXES = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
_PLANES = frozenset({"Conv2d", "Conv3d"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every softmax by the layer in front of it, and every cross-entropy by the layer that feeds it."""
    for place, (function, layers) in _judged(facts).items():
        if place.path != facts.path or not all(_single(layer) for layer in layers):
            continue
        layer = layers[0]
        name = facts.name_of(layer, layer.name if isinstance(layer, Layer) else "the output")
        values: dict[str, str | int | float] = {
            "function": function,
            "layer": name,
            "value": int(function == "softmax"),
        }
        yield Finding("single-logit-softmax", place.path, Range(*place.at), values)


def _judged(facts: TrainingFacts) -> dict[Place, tuple[str, list[Value | None]]]:
    """For each place the function, and all layers whose units it is ever given as classes."""
    found: dict[Place, tuple[str, list[Value | None]]] = {}
    for calculation in facts.calculations:
        result, function = calculation.formula.value, calculation.formula.op
        if function in _SOFTMAXES.values() and isinstance(result, Tensor) and result.chain is not None:
            place = outputs.written_at(facts, result.chain)
            found.setdefault(place, (function, []))[1].append(_over(facts, result))
    for sequence in facts.layers:
        children = sequence.children if sequence.name == "Sequential" else []
        for before, after in pairwise(children):
            if isinstance(after, Layer) and after.place is not None and after.name in _SOFTMAXES:
                last = integer(after.argument(0, "dim")) == -1
                if after.place not in found:
                    found[after.place] = (_SOFTMAXES[after.name], [before if last else None])
    for loss in facts.losses:
        if loss.kind == "CrossEntropyLoss" and outputs.trains(loss):
            found.setdefault(loss.place, ("cross-entropy", []))[1].append(_fed(facts, loss))
    return found


def _over(facts: TrainingFacts, result: Tensor) -> Value | None:
    """The layer whose units a softmax normalises, if it is surely they."""
    source = result.sources[0] if len(result.sources) == 1 else None
    layer = _direct(source)
    dim = result.form.dim if result.form is not None else None
    if dim == -1 and isinstance(layer, Layer) and layer.name == "Linear":
        return layer
    classes = isinstance(layer, Layer) and layer.name in _PLANES
    judged = any(isinstance(loss.input, Tensor) and loss.input.place == result.place for loss in facts.losses)
    return (layer if classes or judged else _reshaped(source)) if dim == 1 else None


def _fed(facts: TrainingFacts, loss: LossCall) -> Value | None:
    """The layer whose units are the classes of a cross-entropy."""
    operation = loss.input.chain if isinstance(loss.input, Tensor) else None
    if operation is None or operation.kind != "unknown" or operation.subject is None:
        return _direct(loss.input) or _reshaped(loss.input, last=True)
    model, output = operation.subject, loss.input
    if not isinstance(model, Layer) or not model.kind.startswith(_PRETRAINED) or not isinstance(output, Tensor):
        return None
    if output.place != operation.place:
        return None
    heads = [write.value for write in facts.writes if write.owner is model and write.name in _HEADS]
    return heads[0] if len(heads) == 1 else None if heads else model


def _direct(value: Value | None) -> Value | None:
    """The layer whose output a value is, with nothing done to it since."""
    operation = value.chain if isinstance(value, Tensor) else None
    if operation is None or operation.kind not in ("linear", "conv") or not isinstance(value, Tensor):
        return None
    return operation.subject if value.place == operation.place else None


def _reshaped(value: Value | None, last: bool = False) -> Value | None:
    """The layer whose output a value is, reshaped so that its units are dimension 1, or the last of unseen many."""
    operation = value.chain if isinstance(value, Tensor) else None
    shape = value.shape if isinstance(value, Tensor) else None
    place = None if shape is None else shape.where(-1) if shape.open and last else shape.where(1)
    if operation is None or operation.kind != "linear" or shape is None or place is None:
        return None
    return operation.subject if shape.sizes[place] == 1 else None


def _single(layer: Value | None) -> bool:
    if not isinstance(layer, Layer):
        return False
    if layer.kind.startswith(_PRETRAINED):
        return integer(layer.keywords.get("num_classes")) == 1
    position, name = (1, "out_features") if layer.name == "Linear" else (1, "out_channels")
    return layer.kind.startswith("torch.nn.") and integer(layer.argument(position, name)) == 1
