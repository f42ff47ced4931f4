"""What an unseen value probably is, from its name and from what the code does with it.

Only Unknown values are judged here; a known value is what it is. The words are those of training code at large.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    External,
    FunctionValue,
    Gradient,
    Instance,
    Layer,
    Manager,
    Mapping,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Tensor,
    Unknown,
    Value,
)  # fmt: skip

_OPTIMIZER = re.compile(r"optim|^opt$|^opt_|_opt$|_opt_|^opts$|^opt[A-Z0-9]|^solver$|_solver$|[a-z]Opt$", re.ASCII)
_SCHEDULER = re.compile(r"sched|^lr_|_lr$|^warmup|lr_adjust", re.IGNORECASE)
_SCALER = re.compile(r"scaler", re.IGNORECASE)
_MANAGER = re.compile(
    r"accelerator|^fabric$|engine|^strategy$|^backend$|^booster$|^amp$|^plugin$|^executor$", re.IGNORECASE
)
_MODULE = re.compile(
    r"model|^net$|net$|^net[A-Z_]|module|encoder|decoder|generator|discriminator|^critic|critic$|^actor|actor$|^policy|policy$|backbone"
    r"|^head$|_head$|classifier|student|teacher|^gen$|^disc$|^[GD]$|^vae$|transformer|^bert|agent$|_nn$|^mlp|^lstm|^rnn|^gru|embedder",
    re.IGNORECASE,
)
_CARRIES = re.compile(
    r"loss|logit|out|pred|embed|feat|hidden|score|log_?prob|value|^q_|_q$|energy|cost|objective|repr|state",
    re.IGNORECASE,
)
_LOSS = re.compile(r"loss|cost|objective|^err|error|criterion", re.IGNORECASE)
_CRITERION = re.compile(
    r"criterion|criteria|loss_fn|loss_func|lossfn|loss_function|^loss$|_loss$|^crit$|_criterion|objective",
    re.IGNORECASE,
)


def last_name(hint: str) -> str:
    """The last part of a dotted or indexed name: `self.optimizers["g"]` is `optimizers`."""
    return hint.split("[")[0].rpartition(".")[2] or hint


def role(value: Value | None) -> str:
    """optimizer, scheduler, scaler, manager, module, tensor, parameters or an empty string."""
    if isinstance(value, Choice):
        found = {role(option) for option in value.options}
        return found.pop() if len(found) == 1 else ""
    if isinstance(value, Optimizer):
        return "optimizer"
    if isinstance(value, Scheduler):
        return "scheduler"
    if isinstance(value, Scaler):
        return "scaler"
    if isinstance(value, Manager):
        return "manager"
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, Parameters):
        return "parameters"
    if isinstance(value, Layer):
        return "module"
    if isinstance(value, Instance):
        return {"module": "module", "lightning": "module", "optimizer": "optimizer"}.get(value.kind, "")
    if isinstance(value, Unknown):
        return _unknown_role(value.hint, value.uses)
    return ""


@lru_cache(4096)
def _unknown_role(hint: str, uses: frozenset[str]) -> str:
    name = last_name(hint)
    if _SCALER.search(name) and not {"fit", "transform", "fit_transform"} & uses:
        return "scaler"
    if _MANAGER.search(name) and not {"zero_grad"} <= uses:
        return "manager"
    if _SCHEDULER.search(name):
        return "scheduler"
    if _OPTIMIZER.search(name):
        return "optimizer"
    if "zero_grad" in uses and "step" in uses:
        return "optimizer"
    if _MODULE.search(name) or {"parameters", "named_parameters"} & uses:
        return "module"
    if "zero_grad" in uses and not {"parameters", "eval", "train"} & uses:
        return "optimizer"
    return ""


def carries_graph(value: Value | None) -> bool:
    """Whether something unseen may hang on parameters: outputs and losses may, batches and labels do not."""
    if isinstance(value, Unknown):
        return value.graph or (value.origin != "item" and bool(_CARRIES.search(last_name(value.hint))))
    if isinstance(value, Choice):
        return any(carries_graph(option) for option in value.options)
    if isinstance(value, Collection):
        return any(carries_graph(item) for item in value.items)
    if isinstance(value, Instance):
        return any(carries_graph(item) for item in value.fields or ())
    return isinstance(value, Tensor) and (bool(value.roots) or value.mystery)


def passed(values: tuple[Value, ...]) -> tuple[tuple[Value, ...], bool]:
    """What to remember of the arguments of an unseen call: those with a role, and whether a graph went in."""
    if not values:
        return (), False
    graph = any(carries_graph(value) or role(value) == "module" for value in values)
    kept = dict.fromkeys(value for value in values if not isinstance(value, Tensor) and role(value))
    for value in values:
        if isinstance(value, Unknown):
            kept.update(dict.fromkeys(value.touched))
    return tuple(kept)[:8], graph


def loss_like(value: Value | None) -> bool:
    """Whether a value is named or made like a loss."""
    if isinstance(value, Tensor):
        return value.loss is not None or bool(_LOSS.search(last_name(value.hint)))
    return isinstance(value, Unknown) and bool(_LOSS.search(last_name(value.hint)))


def criterion_like(value: Value | None) -> bool:
    """Whether an unseen callable is named like a loss function."""
    return isinstance(value, Unknown) and bool(_CRITERION.search(last_name(value.hint)))


_TRAINING_METHODS = {
    "optimizer": frozenset({"zero_grad", "step"}), "scheduler": frozenset({"step"}),
    "module": frozenset({"train", "eval", "zero_grad"}),
    "scaler": frozenset({"step", "update", "unscale_"}), "tensor": frozenset({"backward"}),
    "loss": frozenset({"backward"}),
}  # fmt: skip


def training_method(receiver: Value | None, name: str) -> bool:
    """Whether `receiver.name` is a method that training loops call: `optimizer.step`, `model.eval`, `loss.backward`."""
    if isinstance(receiver, Instance) and receiver.kind not in ("module", "lightning"):
        hit = receiver.cls.find(name)
        return (
            hit is not None
            and isinstance(hit[0], FunctionValue)
            and name in ("zero_grad", "step", "backward", "train", "eval")
        )
    if isinstance(receiver, Gradient):
        return name == "zero_"
    kind = role(receiver) or ("loss" if loss_like(receiver) else "")
    return name in _TRAINING_METHODS.get(kind, frozenset())


def interesting(value: Value | None) -> bool:
    """Whether it matters that a value is handed to code that cannot be seen."""
    if value is None or isinstance(value, (Constant, External)):
        return False
    if isinstance(value, Collection):
        return any(interesting(item) for item in value.items)
    if isinstance(value, Mapping):
        return any(interesting(item) for item in value.items.values())
    if isinstance(value, Choice):
        return any(interesting(item) for item in value.options)
    if isinstance(value, Tensor):
        return bool(value.roots) or value.loss is not None
    if isinstance(value, Instance):
        return value.fields is None or any(interesting(field) for field in value.fields)
    return role(value) in ("optimizer", "scheduler", "scaler", "manager", "module", "parameters")
