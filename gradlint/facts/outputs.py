"""What the input of a loss is: its form, its bounds and how messages call it."""

from __future__ import annotations

from gradlint.facts.model import LossCall, TrainingFacts
from gradlint.facts.values import External, Form, Tensor, Value, join_tensors

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
