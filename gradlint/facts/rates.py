"""Learning rates as the script sets them: of an optimizer and its groups, and what a schedule makes of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from gradlint.facts import factors
from gradlint.facts.events import Escape
from gradlint.facts.interpret import modules, tensors
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.record import record
from gradlint.facts.roles import role
from gradlint.facts.torch_names import ATTENTION, CONVOLUTIONS, EMBEDDINGS, LINEAR, RECURRENT
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    Instance,
    Layer,
    Optimizer,
    Parameters,
    Place,
    Scheduler,
    Tensor,
    Unknown,
    Value,
    constant,
    number,
    options,
)  # fmt: skip

_FAMILIES = {
    "Adam": "adam", "AdamW": "adam", "NAdam": "adam", "RAdam": "adam", "Adamax": "adam", "SparseAdam": "adam",
    "FusedAdam": "adam",
    "Adam8bit": "adam", "AdamW8bit": "adam", "PagedAdamW": "adam", "PagedAdamW8bit": "adam", "BertAdam": "adam",
    "SGD": "sgd",
    "RMSprop": "rmsprop", "Adagrad": "adagrad",
}  # fmt: skip
_REPLACING = frozenset({"OneCycleLR", "CyclicLR"})
"""Schedulers that never look at the optimizer's own learning rate."""
_SCALING = frozenset({"LambdaLR", "MultiplicativeLR"})
"""Schedulers that multiply it by what a function says."""
_LOWERING = _SCALING | {
    "StepLR", "MultiStepLR", "ExponentialLR", "ConstantLR", "LinearLR", "PolynomialLR", "ReduceLROnPlateau",
    "SequentialLR", "ChainedScheduler",
}  # fmt: skip
"""Schedulers that multiply it, so that 0 stays 0."""
_WARM = frozenset({"LinearLR", "GradualWarmupScheduler", "SequentialLR", "ConstantLR"})
_PRIVATE = re.compile(r"(^|\.)(make_private(_with_epsilon)?|\w*DP\w*Optimizer\w*|\w*Optimizer\w*Clipping)$")
_SCHEDULES = re.compile(r"sched|warm|noam|anneal|(^|_)lr(_|$)|LR$", re.IGNORECASE)


_DEPTH = re.compile(r"(?:resnet|vgg|densenet|resnext)(\d+)")
"""Depth in the names of torchvision's models."""


@record
class Rate:
    """A learning rate that something trains with, where it is set and by what.

    value: NaN where nobody knows it. family: adam, sgd, rmsprop, adagrad or empty for another one. network: whether it
    surely is for a network's weights. maker: the optimizer that takes steps with it.
    """

    value: float
    family: str
    optimizer: str
    momentum: float
    network: bool
    place: Place
    maker: Optimizer | None = None


def rates(facts: TrainingFacts) -> Iterator[Rate]:
    """Every known learning rate of the file's optimizers, one-cycle schedules and TrainingArguments; under a schedule
    that multiplies it by what a function says, only 0 is known, and a rate that it grows to.
    """
    for optimizer in facts.optimizers:
        if not optimizer.known:
            continue
        family = _FAMILIES.get(optimizer.name, "")
        schedulers = [found for found in facts.schedulers if found.optimizer is optimizer]
        yield from _peaks(optimizer, family, schedulers)
        own = list(_own(facts, optimizer, family))
        told = all(rate.value == 0.0 for rate in own) or _reached(family, schedulers)
        if not replaced(facts, optimizer) or (told and not _rewritten(facts, optimizer)):
            yield from own
        else:
            yield from (rate for rate in own if _scaled(facts, optimizer, rate.value))
        yield from _written(facts, optimizer, family)
    for call in facts.calls:
        yield from _arguments(call)


def groups(optimizer: Optimizer) -> Iterator[tuple[Value, dict[str, Value]]]:
    """Each part of an optimizer's parameters with the settings that hold for it."""
    own = optimizer.groups or ({},) * len(optimizer.parameters)
    for parameters, group in zip(optimizer.parameters, own, strict=False):
        yield parameters, {**optimizer.settings, **group}


def _own(facts: TrainingFacts, optimizer: Optimizer, family: str) -> Iterator[Rate]:
    probe, sorted_ = _is_probe(optimizer), _is_sorted(optimizer)
    for index, (parameters, settings) in enumerate(groups(optimizer)):
        if optimizer.unusual and getattr(settings.get("lr"), "default", False):
            # Who chooses another optimizer than the default one chooses its rate too.
            continue
        known = _numbers(settings["lr"]) if "lr" in settings else []
        own = bool(optimizer.groups) and "lr" in optimizer.groups[index]
        network = (is_network(parameters) or (sorted_ and not own)) and not probe
        for value in known or [math.nan]:
            yield _rate(optimizer, family, value, settings, network, written(facts, optimizer, settings.get("lr")))


def written(facts: TrainingFacts, optimizer: Optimizer, given: Value | None) -> Place:
    """Where a setting stands: where the optimizer is built, or this file's number that another file builds it with."""
    place = given.place if isinstance(given, Constant) else None
    here = place is not None and place.path == facts.path
    return place if place is not None and here and optimizer.place.path != facts.path else optimizer.place


def _is_probe(optimizer: Optimizer) -> bool:
    """Whether one Linear layer is all that an optimizer holds: a convex problem, which takes far larger steps."""
    owners = [o for part in optimizer.parameters if isinstance(part, Parameters) for o in part.owners]
    return len(owners) == len(optimizer.parameters) == 1 and isinstance(owners[0], Layer) and owners[0].name in LINEAR


def _is_sorted(optimizer: Optimizer) -> bool:
    """Whether several groups hold parameters of one network, sorted into lists one by one."""
    parts = [tensors.parts([group]) for group in optimizer.parameters]
    owners = [{id(p.owner): p.owner for p in part if isinstance(p, Tensor) and p.attribute == "*"} for part in parts]
    held = [found for found in owners if len(found) == 1]
    return len(held) > 1 and any(
        owner is not None and _layered(owner) and all(key in other for other in held) for key, owner in held[0].items()
    )


def _peaks(optimizer: Optimizer, family: str, schedulers: list[Scheduler]) -> Iterator[Rate]:
    network = _is_sorted(optimizer) or any(map(is_network, optimizer.parameters))
    for scheduler in schedulers:
        if scheduler.name in ("OneCycleLR", "CyclicLR"):
            position, keyword = (1, "max_lr") if scheduler.name == "OneCycleLR" else (2, "max_lr")
            given = scheduler.keywords.get(keyword)
            if given is None and position < len(scheduler.arguments):
                given = scheduler.arguments[position]
            for value in _numbers(given):
                yield _rate(optimizer, family, value, optimizer.settings, network, scheduler.place)


def _written(facts: TrainingFacts, optimizer: Optimizer, family: str) -> Iterator[Rate]:
    network = _is_sorted(optimizer) or any(map(is_network, optimizer.parameters))
    for write in facts.writes:
        if write.name == "lr" and write.owner is optimizer:
            for value in _numbers(write.value):
                # `new if group["lr"] > 0 else 0`: one of several rates may stop what is stopped on purpose.
                if value != 0.0 or not isinstance(write.value, Choice):
                    yield _rate(optimizer, family, value, optimizer.settings, network, write.place)


def _scaled(facts: TrainingFacts, optimizer: Optimizer, own: float) -> bool:
    """Whether all that sets the rate computes it of the optimizer's own, as in `lr * 0.1 ** (epoch // 30)`."""
    if own in (0.0, 1.0) or any(on(scheduler, optimizer) for scheduler in facts.schedulers):
        return False
    writes = [write for write in facts.writes if write.name == "lr" and write.owner is optimizer]
    return bool(writes) and all(any(_computed(value, own) for value in options(write.value)) for write in writes)


_REACHED = (0.9, 1.1)
"""The greatest factor of a schedule under which an optimizer's own rate counts as the peak that it trains with."""


def _reached(family: str, schedulers: list[Scheduler]) -> bool:
    """Whether all that scales the rate grows to the optimizer's own, or starts there: SGD takes more at the peak."""
    spans = [factors.reach(scheduler) for scheduler in schedulers]
    return bool(spans) and all(
        span is not None and _REACHED[0] <= span[family != "sgd"] <= span[1] <= _REACHED[1] for span in spans
    )


def _computed(value: Value, own: float) -> bool:
    """Whether a number was multiplied, divided or chosen from a known one."""
    formula = value.formula if isinstance(value, (Unknown, Tensor)) else None
    parts = [formula] if formula is not None else []
    while parts:
        part = parts.pop()
        if part.op == "number" and part.number == own:
            return True
        if part.op in ("*", "/", "choice", "+"):
            parts.extend(part.inputs)
    return False


def _arguments(call: CallFact) -> Iterator[Rate]:
    """`TrainingArguments(learning_rate=…)`: AdamW unless `optim` names another one."""
    if not call.name.startswith(("transformers.", "trl.")) or not call.name.endswith("TrainingArguments"):
        return
    kind = constant(call.keywords.get("optim"))
    if "optim" in call.keywords and not (isinstance(kind, str) and kind.startswith("adamw")):
        return
    for value in _numbers(call.keywords.get("learning_rate")):
        yield Rate(value, "adam", "AdamW", 0.0, True, call.place)


def _rate(
    optimizer: Optimizer, family: str, value: float, settings: dict[str, Value], network: bool, place: Place
) -> Rate:
    momentum = number(settings.get("momentum", Constant(0.0)))
    return Rate(value, family, optimizer.name, momentum if momentum is not None else 0.0, network, place, optimizer)


def private(facts: TrainingFacts, optimizer: Optimizer) -> bool:
    """Whether Opacus makes an optimizer private: it clips the gradient of each sample and adds noise."""
    return optimizer.managed == "opacus" or any(
        isinstance(event, Escape) and _PRIVATE.search(event.callee) and any(v is optimizer for v in event.values)
        for run in facts.runs
        for event in run.events
    )


def _numbers(value: Value | None) -> list[float]:
    """A known number; of several that depend on a branch, the smallest where all are known or a setting from outside
    stands beside its default; a list's own.
    """
    if isinstance(value, Choice):
        known = [item for item in map(number, value.options) if item is not None]
        fallback = any(isinstance(option, Constant) and option.default for option in value.options)
        settings = [option for option in value.options if fallback and isinstance(option, Unknown)]
        return [min(known)] if known and len(known) + len(settings) == len(value.options) else []
    if isinstance(value, Collection):
        return [item for part in value.items for item in _numbers(part)]
    found_one = number(value)
    return [] if found_one is None else [found_one]


def networks(optimizer: Optimizer) -> list[Value]:
    """What an optimizer's parameters belong to, those that were sorted into lists one by one as well."""
    found = [owner for part in optimizer.parameters if isinstance(part, Parameters) for owner in part.owners]
    lists = tensors.parts([part for part in optimizer.parameters if isinstance(part, Collection)])
    found.extend(part.owner for part in lists if isinstance(part, Tensor) and part.attribute == "*" and part.owner)
    return list({id(owner): owner for owner in found}.values())


def is_network(value: Value | None) -> bool:
    """Whether parameters are those of a module that has layers, or may have."""
    if isinstance(value, Parameters):
        return any(_layered(owner) for owner in value.owners)
    if isinstance(value, (Collection, Choice)):
        parts = value.items if isinstance(value, Collection) else list(value.options)
        return any(is_network(part) for part in parts)
    return False


def _layered(owner: Value) -> bool:
    if isinstance(owner, Tensor):
        return False
    if isinstance(owner, (Instance, Layer)):
        return any(isinstance(part, Layer) for part in modules.walk(owner)) or not modules.complete(owner)
    return isinstance(owner, (Unknown, Choice))


def family_of(optimizer: Optimizer) -> str:
    """adam, sgd, rmsprop, adagrad, or empty for an optimizer of the project or one whose step is not known."""
    return _FAMILIES.get(optimizer.name, "") if optimizer.known else ""


def decoupled(optimizer: Optimizer, settings: dict[str, Value]) -> bool | None:
    """Whether weight decay acts on the weight itself; None where that is not known."""
    if optimizer.name.startswith(("AdamW", "PagedAdamW")):
        return True
    given = settings.get("decoupled_weight_decay")
    if given is None:
        return False
    found = constant(given)
    return found if isinstance(found, bool) else None


def weight_layers(owner: Value) -> int | None:
    """How many linear and convolution layers a module holds; None where not all of it can be seen."""
    if isinstance(owner, Layer):
        named = _DEPTH.search(owner.name)
        if owner.kind.startswith("torchvision.models.") and named is not None:
            return int(named.group(1))
    if not isinstance(owner, (Instance, Layer)) or not modules.complete(owner):
        return None
    return sum(isinstance(part, Layer) and part.name in LINEAR | CONVOLUTIONS for part in modules.walk(owner))


def is_single_layer(owner: Value) -> bool:
    """Whether one linear or convolution layer is all that a module trains: a convex problem."""
    if not isinstance(owner, (Instance, Layer)) or weight_layers(owner) != 1:
        return False
    others = RECURRENT | EMBEDDINGS | ATTENTION
    return not any(isinstance(part, Layer) and part.name in others for part in modules.walk(owner))


def replaced(facts: TrainingFacts, optimizer: Optimizer) -> bool:
    """Whether something sets or scales the optimizer's learning rate in a way that its own value does not tell."""
    scaled = any(scheduler.name in _SCALING and on(scheduler, optimizer) for scheduler in facts.schedulers)
    return scaled or _rewritten(facts, optimizer)


def _rewritten(facts: TrainingFacts, optimizer: Optimizer) -> bool:
    """Whether something sets the optimizer's learning rate, or may do so, whatever it was."""
    if any(call.name == "LRScheduler.__init__" for call in facts.calls):
        return True
    for scheduler in facts.schedulers:
        if scheduler.name in _REPLACING and on(scheduler, optimizer):
            return True
    for write in facts.writes:
        unseen = isinstance(write.owner, Unknown) and role(write.owner) == "optimizer"
        if write.name == "lr" and (write.owner is optimizer or unseen):
            return True
    return any(
        isinstance(event, Escape)
        and bool(_SCHEDULES.search(event.callee))
        and any(v is optimizer for v in event.values)
        for run in facts.runs
        for event in run.events
    )


def on(scheduler: Scheduler, optimizer: Optimizer) -> bool:
    """Whether a scheduler works on an optimizer, or on one that nobody can see."""
    return scheduler.optimizer is optimizer or not isinstance(scheduler.optimizer, Optimizer)


def lifts(scheduler: Scheduler) -> bool:
    """Whether a schedule may make something of a learning rate of 0."""
    if scheduler.name.startswith("CosineAnnealing"):
        floor = scheduler.keywords.get("eta_min", scheduler.arguments[2] if len(scheduler.arguments) > 2 else None)
        return floor is not None and number(floor) != 0.0
    named = scheduler.name.startswith("get_") and "schedule" in scheduler.name
    return scheduler.name not in _LOWERING and not named


def warmed_up(facts: TrainingFacts, optimizer: Optimizer) -> bool:
    """Whether the optimizer starts below its learning rate and grows to it."""
    return any(
        (scheduler.name in _WARM or "warmup" in scheduler.name.lower()) and on(scheduler, optimizer)
        for scheduler in facts.schedulers
    )
