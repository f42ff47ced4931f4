"""From the operations a forward was seen to do to stacks that `signal` can predict.

A run is a stretch of one forward between things whose gain nobody knows (attention, a product of two tensors, an unseen
module): weights, activations, norms, dropout, pools and residual paths, in order. Every weight has the widths of its
arguments, None where they are not known, and the initialiser that the script gave it, PyTorch's default where it gave
none.

Ratios are of gradient norms, first weight's output over last weight's output: norms do not fall where a layer is merely
narrower than the one before it, as amplitudes per element do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from gradlint.facts import magnitudes, signal
from gradlint.facts.activations import SATURATING
from gradlint.facts.events import Escape
from gradlint.facts.initialisation import fitted_ops, fitting_name, initialiser_of
from gradlint.facts.interpret import modules
from gradlint.facts.layer_ops import matrix_of, op_of
from gradlint.facts.model import Stack, TrainingFacts
from gradlint.facts.ops import Activation, Norm, Op, Pool, Residual, Weight
from gradlint.facts.record import record, replace
from gradlint.facts.values import (
    FunctionValue,
    Initialiser,
    Instance,
    Layer,
    Operation,
    Place,
    Tensor,
    Value,
    is_module,
)  # fmt: skip

_SCALELESS = frozenset({"relu", "leaky_relu", "prelu", "rrelu", "identity"})
"""Activations whose gain does not depend on the size of what goes in."""
FITTED = 1.0
"""Decades of loss with the fitting initialiser below which a stack counts as one that an initialiser cures."""
_SETS = re.compile(r"init|reset|xavier|kaiming|orthogonal", re.IGNORECASE)
OPERATIONS = 4000
"""Operations of one forward that are looked at."""


@record
class Run:
    """One run: `layers[i]` is what the weight number i of `ops` came from (a Layer, or the own parameter's Tensor)."""

    owner: Value
    place: Place
    ops: tuple[Op, ...]
    layers: tuple[Value, ...]

    @property
    def weights(self) -> list[Weight]:
        return [op for op in self.ops if isinstance(op, Weight)]

    @property
    def activation(self) -> str:
        """The activation met most often between the first and the last weight, empty if there is none."""
        last = max(index for index, op in enumerate(self.ops) if isinstance(op, Weight))
        found = Counter(op.activation for op in self.ops[:last] if isinstance(op, Activation))
        return found.most_common(1)[0][0] if found else ""

    @property
    def guarded(self) -> bool:
        """Whether a normalisation or a residual path lies in it."""
        return any(isinstance(op, (Norm, Residual)) for op in self.ops)

    @property
    def decades(self) -> float | None:
        """log10 of the predicted gradient norm at the first weight over the one at the last; None where unknown."""
        return norm_decades(self.ops)

    @property
    def fitted(self) -> float | None:
        """The same with the fitting initialiser of each activation and biases of zero."""
        return norm_decades(fitted_ops(self.ops))

    @property
    def initialisers(self) -> list[Initialiser | None]:
        """How each weight was set, None as it was built."""
        return [initialiser_of(layer) for layer in self.layers]


@record
class Diagnosis:
    """What is wrong with a run, if its decades reach the limit of the rule: one kind a run.

    kind: saturating, deep, default, mismatch or scale; `fitted` is what the fitting initialiser would leave.
    """

    run: Run
    kind: str
    decades: float
    fitted: float

    def values(self) -> dict[str, str | int]:
        """The words that all messages about stacks use."""
        weights = self.run.weights
        return {
            "first": weights[0].name,
            "last": weights[-1].name,
            "layers": len(weights),
            "activation": self.run.activation,
            "ratio": magnitudes.format_decades(self.decades),
            "fitted_ratio": magnitudes.format_decades(self.fitted),
            "fitted": fitting_name(self.run.activation),
        }


@lru_cache(maxsize=1)
def diagnoses(facts: TrainingFacts) -> tuple[Diagnosis, ...]:
    """What an initialiser or the architecture does to each stack of a file; one finding a stack."""
    return tuple(_diagnosed(facts))


def _diagnosed(facts: TrainingFacts) -> Iterator[Diagnosis]:
    if not facts.stacks:
        return
    untold = _untold(facts)
    for run in runs(facts):
        if len(run.weights) < 3 or not run.activation:
            continue
        decades, fitted = run.decades, run.fitted
        if decades is not None and fitted is not None and math.isfinite(decades):
            kind = _kind(run, decades, fitted)
            if kind and not (kind == "default" and any(_place_of(layer) in untold for layer in run.layers)):
                yield Diagnosis(run, kind, decades, fitted)


def _kind(run: Run, decades: float, fitted: float) -> str:
    if abs(fitted) >= FITTED:
        if decades > 0.0:
            return ""
        if run.activation in SATURATING:
            return "saturating"
        return "" if run.guarded else "deep"
    how = [_class_of(found) for found in run.initialisers]
    common = Counter(how).most_common(1)[0][0]
    if common == "default":
        return "default" if decades < 0.0 else ""
    return common


def _class_of(found: Initialiser | None) -> str:
    if found is None:
        return "default"
    return "mismatch" if found.kind.startswith(("xavier", "kaiming", "orthogonal")) else "scale"


@lru_cache(maxsize=1)
def runs(facts: TrainingFacts) -> tuple[Run, ...]:
    """All runs of a file, each part of the code once: the modules that the script builds come before assumed ones."""
    found: list[Run] = []
    seen: list[frozenset[Place]] = [_loaded(facts)]
    for stack in sorted(facts.stacks, key=_rank):
        for run in _runs_of(facts, stack):
            places = frozenset(_place_of(layer) for layer in run.layers)
            if not any(places <= other for other in seen):
                seen.append(places)
                place = _line(facts, run, stack)
                if place is not None:
                    found.append(replace(run, place=place))
    return tuple(found)


def _rank(stack: Stack) -> int:
    if isinstance(stack.owner, Instance):
        return 1 if stack.owner.assumed else 0
    return 2


def _place_of(layer: Value) -> Place:
    place = layer.place if isinstance(layer, (Layer, Tensor)) else None
    return place if place is not None else Place("", (id(layer), 0, 0, 0))


def _untold(facts: TrainingFacts) -> frozenset[Place]:
    """Layers that code which cannot be seen may have initialised: a foreign base class, a function named so."""
    owners: list[Value] = []
    for call in facts.calls:
        if (
            call.name == "Module.apply"
            and not isinstance(call.argument(0, "fn"), FunctionValue)
            and call.receiver is not None
        ):
            owners.append(call.receiver)
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, Escape) and _SETS.search(event.callee):
                owners.extend(event.values)
    for owner in {id(stack.owner): stack.owner for stack in facts.stacks}.values():
        owners.extend(part for part in modules.walk(owner) if _foreign(part))
    owners.extend(write.value for write in facts.writes if _foreign(write.owner) and is_module(write.value))
    return frozenset(_place_of(part) for owner in owners for part in modules.walk(owner))


def _foreign(owner: Value) -> bool:
    """Whether an object has a base class that cannot be seen, and so may do anything to its layers."""
    if not isinstance(owner, Instance):
        return False
    seen = ("torch.nn.", "lightning.", "object", "abc.", "typing.")
    return owner.cls.opaque or not all(name.startswith(seen) for name in owner.cls.externals())


def _loaded(facts: TrainingFacts) -> frozenset[Place]:
    """Layers whose weights come from a file, where nothing trains them: what they start with is overwritten."""
    if facts.optimizers:
        return frozenset()
    receivers = [call.receiver for call in facts.calls if call.name == "Module.load_state_dict"]
    return frozenset(
        _place_of(part) for receiver in receivers if receiver is not None for part in modules.walk(receiver)
    )


def _line(facts: TrainingFacts, run: Run, stack: Stack) -> Place | None:
    """The innermost Sequential that holds the whole run, else the class; None if that stands in another file."""
    wanted = {id(layer) for layer in run.layers}
    best: tuple[int, Place] | None = None
    for part in modules.walk(stack.owner):
        if (
            isinstance(part, Layer)
            and part.name == "Sequential"
            and part.place is not None
            and part.place.path == facts.path
        ):
            held = {id(inner) for inner in modules.walk(part)}
            own = {
                id(v) for inner in modules.walk(part) if isinstance(inner, Instance) for v in inner.attributes.values()
            }
            if wanted <= held | own and (best is None or len(held) < best[0]):
                best = (len(held), part.place)
    place = best[1] if best is not None else stack.place
    return place if place.path == facts.path else None


def _runs_of(facts: TrainingFacts, stack: Stack) -> Iterator[Run]:
    chain = _chain(stack.last)
    names = _names(facts, stack.owner)
    builder = _Builder(names)
    for operation in chain:
        builder.add(operation)
    builder.end()
    for ops, layers in builder.finished:
        yield Run(stack.owner, stack.place, ops, layers)


def _chain(last: Operation | None) -> list[Operation]:
    found: list[Operation] = []
    while last is not None and len(found) < OPERATIONS:
        found.append(last)
        last = last.previous
    return found[::-1]


def _names(facts: TrainingFacts, owner: Value) -> dict[int, str]:
    prefix = facts.names.get(id(owner), "") if isinstance(owner, Layer) else ""
    prefix = prefix.removeprefix("self.")
    found: dict[int, str] = {}
    for path, part in modules.paths(owner):
        found.setdefault(id(part), f"{prefix}.{path}" if prefix and path else path or prefix)
        if isinstance(part, Instance):
            for name, value in part.attributes.items():
                if isinstance(value, Tensor) and value.parameter:
                    found.setdefault(id(value), f"{path}.{name}" if path else name)
    return found


class _Builder:
    """Collects ops until one breaks the run."""

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.finished: list[tuple[tuple[Op, ...], tuple[Value, ...]]] = []
        self.clear()

    def clear(self) -> None:
        self.ops: list[Op] = []
        self.layers: list[Value] = []
        self.after: dict[int, int] = {}
        self.spoiled = False

    def add(self, operation: Operation) -> None:
        if operation.kind in ("residual", "add"):
            self._join(operation)
        elif operation.kind not in ("reshape", "bias", "shift"):
            op = op_of(operation, self.names)
            if op is None:
                self.end()
            else:
                self._append(operation, op)
        self.after[id(operation)] = len(self.ops)

    def _append(self, operation: Operation, op: Op) -> None:
        self.ops.append(op)
        if isinstance(op, Weight) and operation.subject is not None:
            self.layers.append(matrix_of(operation.subject))

    def _join(self, operation: Operation) -> None:
        """A residual path: plain, or through a shortcut that leaves the run at an earlier operation."""
        side: list[Op] = []
        branch = operation.branch
        while branch is not None and id(branch) not in self.after and len(side) < OPERATIONS:
            op = None if branch.kind in ("residual", "add") else op_of(branch, self.names)
            if branch.kind not in ("reshape", "bias", "shift"):
                if op is None:
                    branch = None
                    break
                side.append(op)
            branch = branch.previous
        if branch is None:
            # It comes from before the run, so the gradient of what lies in between has a second way.
            self.spoiled = True
            self.end()
            return
        self.ops.append(Residual(self.after[id(branch)], tuple(reversed(side))))

    def end(self) -> None:
        first = next((index for index, op in enumerate(self.ops) if isinstance(op, Weight)), None)
        if first is not None and len(self.layers) > 1 and not self.spoiled:
            ops = _with_ends(self.ops)
            begin = _bounded_start(ops, first)
            self.finished.append((tuple(ops[begin:]), tuple(self.layers[begin > 0 :])))
        self.clear()


def _bounded_start(ops: list[Op], first: int) -> int:
    """Where to begin if the first weight's fan-in decides and nobody knows it: the second one, whose inputs are bounded
    by a saturating activation; 0 where that cannot be.
    """
    weight = ops[first]
    if not isinstance(weight, Weight) or weight.inputs is not None or any(isinstance(op, Residual) for op in ops):
        return 0
    second = next((i for i, op in enumerate(ops[first + 1 :], first + 1) if isinstance(op, Weight)), len(ops))
    bounded = any(isinstance(op, Activation) and op.activation in SATURATING for op in ops[first:second])
    return second if bounded and sum(isinstance(op, Weight) for op in ops) > 2 else 0


def _with_ends(ops: list[Op]) -> list[Op]:
    """Widths that nobody knows at both ends, taken from the other side of their weight: norms do not depend on them."""
    places = [index for index, op in enumerate(ops) if isinstance(op, Weight)]
    first, last = ops[places[0]], ops[places[-1]]
    scaleless = all(op.activation in _SCALELESS for op in ops if isinstance(op, Activation))
    if isinstance(first, Weight) and first.inputs is None and (scaleless or first.init.scales_with_width):
        ops[places[0]] = replace(first, inputs=first.outputs)
    if isinstance(last, Weight) and last.outputs is None:
        ops[places[-1]] = replace(last, outputs=last.inputs)
    return ops


def norm_decades(ops: Sequence[Op]) -> float | None:
    """log10 of the gradient norm at the first weight's output over the one at the last weight's output.

    The amplitude's ratio times the square root of the ratio of the numbers of elements.
    """
    profile = signal.predict(ops)
    decades, weights = profile.decades, profile.weights
    if decades is None or len(weights) < 2:
        return None
    first, last = weights[0], weights[-1]
    elements = 1.0
    for layer in profile.layers[first.index + 1 : last.index + 1]:
        if isinstance(layer.op, Weight):
            elements *= 1.0 / layer.op.stride if layer.op.kind == "transposed" else layer.op.stride
        elif isinstance(layer.op, Pool):
            elements *= layer.op.taps or 1.0
    wide, narrow = first.op, last.op
    if isinstance(wide, Weight) and isinstance(narrow, Weight) and wide.outputs and narrow.outputs:
        elements *= wide.outputs / narrow.outputs
    return decades + 0.5 * math.log10(elements)


def common_initialiser(run: Run) -> tuple[Initialiser, int] | None:
    """The initialiser that most weights of a run were given, and the number of the first weight that has it."""
    given = [(found, index) for index, found in enumerate(run.initialisers) if found is not None]
    places = Counter(found.place for found, _ in given)
    if not places:
        return None
    place = places.most_common(1)[0][0]
    return next((found, index) for found, index in given if found.place == place)
