"""Weights whose units are copies of each other if they start equal: nothing tells the units apart on the way on."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts import outputs
from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.record import record
from gradlint.facts.torch_names import RECURRENT
from gradlint.facts.values import (
    Constant,
    Initialiser,
    Instance,
    Layer,
    Operation,
    Tensor,
    Value,
    constant,
    integer,
    number,
    started,
)  # fmt: skip

OPERATIONS = 4000
"""Operations of one forward that are looked at."""
_SAME_FOR_ALL = frozenset({"norm", "dropout", "pool", "reshape", "bias", "shift", "scale"})


@record
class HiddenWeight:
    """A weight between two others, or a recurrent one. `starts` are the initialisers that set it; `units` its rows;
    `owner` is the layer, or the parameter itself.
    """

    name: str
    units: int | None
    starts: tuple[Initialiser, ...]
    owner: Value | None = None


def hidden_weights(facts: TrainingFacts) -> Iterator[HiddenWeight]:
    """Trained weights that are read by another weight through operations that treat all units alike.

    Output heads, gates, the last layer of a residual branch, positions and single-layer models are not among them.
    """
    frozen = _frozen(facts)
    seen: set[int] = set()
    ends = [(stack.last, {id(part): path for path, part in modules.paths(stack.owner)}) for stack in facts.stacks]
    whole = len(ends)
    ends.extend((last, {}) for loss in facts.losses if (last := outputs.last_operation(loss.input)) is not None)
    for index, (last, names) in enumerate(ends):
        following: Operation | None = last
        reader = False
        for _ in range(OPERATIONS):
            if following is None:
                break
            operation, following = following, following.previous
            weight = _weight(operation)
            if weight is not None or operation.kind == "recurrent":
                subject = weight or operation.subject
                if subject is not None and id(subject) not in seen and (reader or operation.kind == "recurrent"):
                    seen.add(id(subject))
                    # In front of a loss, a function's own weights: those of modules were seen in their forward.
                    if id(subject) not in frozen and (index < whole or isinstance(subject, Tensor)):
                        yield _hidden(subject, names.get(id(subject), "") or facts.name_of(subject, ""))
                reader = operation.kind in ("linear", "conv", "recurrent")
            elif not (operation.kind in _SAME_FOR_ALL or _elementwise(operation.kind)):
                reader = False


def _weight(operation: Operation) -> Value | None:
    subject = operation.subject
    if operation.kind == "linear" and isinstance(subject, Layer) and subject.kind == "transposed":
        return subject.arguments[0]
    return subject if operation.kind in ("linear", "conv") else None


def _elementwise(kind: str) -> bool:
    from gradlint.facts.activations import knows_activation

    return knows_activation(kind)


def _hidden(subject: Value, name: str) -> HiddenWeight:
    if isinstance(subject, Tensor):
        found = started(subject.made or {}, "weight")
        return HiddenWeight(name or subject.attribute, None, (found,) if found is not None else (), subject)
    if not isinstance(subject, Layer):
        return HiddenWeight(name, None, ())
    units = integer(subject.argument(1, "out_features")) or integer(subject.argument(1, "out_channels"))
    if subject.name in RECURRENT:
        units = integer(subject.argument(1, "hidden_size"))
        keys = [key for key in subject.started if key.startswith("weight_")]
    else:
        keys = ["weight"]
    starts = [started(subject.started, key) for key in keys]
    return HiddenWeight(name or subject.name, units, tuple(found for found in starts if found is not None), subject)


def constant_of(found: Initialiser) -> float | None:
    """The one number that an initialiser or factory fills a weight with; None for any other."""
    if found.kind in ("zeros_", "zeros"):
        return 0.0
    if found.kind in ("ones_", "ones"):
        return number(found.keywords.get("scale", Constant(1.0)))
    if found.kind == "constant_":
        given = found.arguments[0] if found.arguments else found.keywords.get("val", found.keywords.get("value"))
        return number(given)
    return None


def _frozen(facts: TrainingFacts) -> frozenset[int]:
    """Layers and own parameters whose gradient is switched off somewhere."""
    found: set[int] = set()
    for write in facts.writes:
        if write.name == "requires_grad" and constant(write.value) is False and isinstance(write.owner, Tensor):
            found.update(id(part) for part in (write.owner, write.owner.owner) if part is not None)
            if isinstance(write.owner.owner, Instance):
                found.add(id(write.owner.owner.attributes.get(write.owner.attribute)))
    for call in facts.calls:
        if (
            call.name == "Module.requires_grad_"
            and call.receiver is not None
            and constant(call.argument(0, "requires_grad")) is False
        ):
            found.update(id(part) for part in modules.walk(call.receiver))
    return frozenset(found)
