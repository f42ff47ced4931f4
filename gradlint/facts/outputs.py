"""What the input of a loss is: its form, its bounds and how messages call it."""

from __future__ import annotations

from functools import lru_cache

from gradlint.facts.interpret.tensors import as_tensor
from gradlint.facts.merging import join_tensors
from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.facts.values import External, Form, Instance, Layer, Operation, Place, Tensor, Value

UNBOUNDED = frozenset(
    {
        "linear",
        "logits",
        "relu",
        "leaky_relu",
        "gelu",
        "elu",
        "silu",
        "tanh",
        "prelu",
        "selu",
        "celu",
        "mish",
        "softplus",
    }
)
"""Forms whose values leave [0, 1]."""
LOGITS = frozenset({"linear", "logits"})
_NAMES = {
    "log_softmax": "log-softmax",
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "gelu": "GELU",
    "elu": "ELU",
    "silu": "SiLU",
    "prelu": "PReLU",
}


def form_of(value: Value | None) -> Form | None:
    """What the last operation made of a value on every path, or None."""
    if isinstance(value, Tensor):
        return value.form
    options = getattr(value, "options", ())
    tensors = [option for option in options if isinstance(option, Tensor)]
    return join_tensors(tensors).form if tensors and len(tensors) == len(options) else None


def trains(loss: LossCall) -> bool:
    """Whether a loss may be back-propagated: it was not computed under `no_grad`."""
    return loss.recording is not False


def named(facts: TrainingFacts, loss: LossCall) -> str:
    """How the code calls a loss: `criterion`, `F.cross_entropy` or its class."""
    function = loss.result.loss
    if isinstance(function, External):
        return function.name
    return facts.name_of(function, loss.kind)


def described(form: Form) -> str:
    """A form in words."""
    if form.kind in LOGITS:
        return "the raw output of a layer"
    return f"the output of {_NAMES.get(form.kind, form.kind)}"


def last_operation(value: Value | None) -> Operation | None:
    """The last operation that made a value, past reshaping; None where paths differ or it cannot be seen."""
    tensor = as_tensor(value)
    operation = tensor.chain if tensor is not None else None
    while operation is not None and operation.kind == "reshape":
        operation = operation.previous
    return operation if tensor is not None and operation is not None and form_of(tensor) is not None else None


def layer_before(facts: TrainingFacts, operation: Operation) -> str:
    """The name of the weight layer whose output an activation takes; empty where it takes something else."""
    before = operation.previous
    while before is not None and before.kind in ("reshape", "dropout", "norm"):
        before = before.previous
    if before is None or before.kind not in ("linear", "conv") or before.subject is None:
        return ""
    return facts.name_of(before.subject, getattr(before.subject, "name", "the last layer"))


def written_at(facts: TrainingFacts, operation: Operation) -> Place:
    """Where the code writes an operation: the line of a layer in a Sequential, else of the call."""
    layer = operation.subject
    if isinstance(layer, Layer) and layer.place is not None and layer.place in _in_sequence(facts):
        return layer.place
    return operation.place


@lru_cache(maxsize=1)
def _in_sequence(facts: TrainingFacts) -> frozenset[Place]:
    """Where the layers stand that a Sequential is built of."""
    children = [child for layer in facts.layers if layer.name == "Sequential" for child in layer.children]
    return frozenset(child.place for child in children if isinstance(child, (Layer, Instance)) and child.place)
