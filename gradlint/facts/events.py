"""What happens in a training loop, as a tree: `Event | Branch | Repeat | Within | Call | Exit`.

Events name the values they act on; places are of the call that does it. A rule never asks where in the syntax something
stands, only in which order it happens on which path.
"""

from __future__ import annotations

from dataclasses import field

from gradlint.facts.record import record
from gradlint.facts.values import Context, Optimizer, Place, Scaler, Tensor, Value


@record
class Event:
    """Base: where it happens and in which function."""

    place: Place
    function: str


@record
class Forward(Event):
    """A module (seen or assumed) is called outside any other module's forward."""

    module: Value
    result: Value
    recording: bool | None = True


@record
class Backward(Event):
    """Gradients are accumulated into what `loss` hangs on; `via` is the scaler or framework object, if one does it.

    `gradient` is what the backward starts with, where the code says so.
    """

    loss: Value
    retain_graph: Value | None = None
    create_graph: Value | None = None
    via: Value | None = None
    scaled: bool = False
    inputs: Value | None = None
    gradient: Value | None = None

    @property
    def tensor(self) -> Tensor | None:
        return self.loss if isinstance(self.loss, Tensor) else None


@record
class ZeroGrad(Event):
    """Gradients of an optimizer, a module or some parameters are cleared; `in_place`: own code fills the tensor with
    zeros.
    """

    target: Value
    in_place: bool = False


@record
class OptimizerStep(Event):
    """`via` is the scaler or framework that steps it; `closure` was passed to step and gave back `returned`."""

    optimizer: Value
    via: Value | None = None
    closure: Value | None = None
    returned: Value | None = None


@record
class SchedulerStep(Event):
    scheduler: Value
    metric: Value | None = None


@record
class ClipGrad(Event):
    """`kind` is norm, value or own (a hook on a gradient); `callee` is what does it, as the code writes it."""

    kind: str
    target: Value
    limit: Value | None
    callee: str = "clip_grad_norm_"


@record
class Unscale(Event):
    scaler: Value
    optimizer: Value


@record
class ScalerUpdate(Event):
    scaler: Value


@record
class ModeSwitch(Event):
    """`training` is True, False or None where the argument is unknown."""

    module: Value
    training: bool | None


@record
class Freeze(Event):
    """`requires_grad` of a module's parameters, or of some tensor, is switched; `trainable` is None where the value is
    unknown.
    """

    target: Value
    trainable: bool | None


@record
class GradEdit(Event):
    """`p.grad` is written by own code: scaled, noised, or replaced (`fresh`) by something made without it."""

    target: Value
    fresh: bool = False


@record
class ManualUpdate(Event):
    """Parameters are changed without an optimizer: `p.data -= lr * p.grad`.

    `gradient`: by their gradient; `rebinds`: a new tensor takes the name; `recording`: as in a Forward; `bounds`: they
    are only kept in a range.
    """

    target: Value
    recording: bool | None = False
    gradient: bool = False
    rebinds: bool = False
    bounds: bool = False


@record
class Construct(Event):
    """An optimizer, scheduler, scaler or module is built here."""

    value: Value


@record
class Exhaust(Event):
    """An iterator over parameters that has a name is read to its end; `by` is what reads it."""

    iterator: Value
    by: str


@record
class Rebind(Event):
    """A module is replaced: `model.fc = …`, `model = …`; `old` is what stood there."""

    owner: Value | None
    attribute: str
    old: Value
    new: Value


@record
class TakeSnapshot(Event):
    """`name` now holds `module.state_dict()`; `copied` if the tensors were copied."""

    name: str
    module: Value
    copied: bool
    snapshot: Value


@record
class LoadSnapshot(Event):
    """`module.load_state_dict(state)`."""

    module: Value
    state: Value


@record
class SaveSnapshot(Event):
    """`torch.save(state, path)` of something that holds a state dict."""

    state: Value


@record
class Accumulate(Event):
    """A name or container takes in a tensor: `total += loss`, `losses.append(loss)`.

    `outlives`: it surely was there before the iteration; `within`: in a loop, or in a module's forward or a hook of it.
    """

    name: str
    tensor: Tensor
    target: Value | None
    how: str
    outlives: bool = False
    within: str = "loop"


@record
class Escape(Event):
    """A callee that cannot be seen takes these values; anything may happen to them."""

    values: tuple[Value, ...]
    callee: str


@record
class Condition:
    """What a branch depends on. Equal `key` means the same test of the same values.

    `loop` is the innermost Repeat whose iterations can change it (None: constant for the whole run); `negated` turns
    it; `recurs` where it comes true again and again, as `i % k == 0`, `also` where another test makes it true too;
    `modulus` is that `k`, where it is a plain number; `default` what it comes to by the defaults of the settings it
    reads.
    """

    key: str
    text: str
    negated: bool = False
    loop: int | None = None
    recurs: bool = False
    also: bool = False
    modulus: int | None = None
    default: bool | None = None


ONE_OF_SEVERAL = "one of several"
"""The text of the condition under which a name stands for one of the values that are called there."""


@record
class Branch:
    """Exclusive arms; `arms[0]` is taken where the condition holds, a missing else is an empty arm."""

    condition: Condition
    arms: list[list[Node]]
    place: Place


@record
class Repeat:
    """A loop body that runs zero or more times; `over` is what it loops over, `hint` how the code writes that, `target`
    what it binds each time.
    """

    body: list[Node]
    place: Place
    number: int
    over: Value | None = None
    function: str = ""
    hint: str = ""
    target: str = ""


@record
class Within:
    """A body under a context manager: no_grad, autocast, accumulate …"""

    context: Context
    body: list[Node]
    place: Place


@record
class Call:
    """The body of a local function, inlined; `return` inside leaves it."""

    function: str
    body: list[Node]
    place: Place


@record
class Exit:
    """`return`, `break`, `continue` or `raise`."""

    kind: str
    place: Place


Node = Event | Branch | Repeat | Within | Call | Exit


@record
class Run:
    """One way into the code: the script itself, or a function or method nobody visibly calls, and what that returns."""

    name: str
    path: str
    tree: list[Node] = field(default_factory=list)
    managed: str = ""
    result: Value | None = None
    _events: list[Event] | None = field(default=None, init=False)

    @property
    def events(self) -> list[Event]:
        """All events in textual order; the run is over when they are first asked for."""
        if self._events is None:
            self._events = walk(self.tree)
        return self._events


def walk(nodes: list[Node]) -> list[Event]:
    """All events of a tree in textual order."""
    found: list[Event] = []
    _walk(nodes, found)
    return found


def _walk(nodes: list[Node], found: list[Event]) -> None:
    for node in nodes:
        if isinstance(node, Event):
            found.append(node)
        elif isinstance(node, Branch):
            for arm in node.arms:
                _walk(arm, found)
        elif not isinstance(node, Exit):
            _walk(node.body, found)


def repeats(nodes: list[Node]) -> list[Repeat]:
    """All loops of a tree, outer ones before inner ones."""
    found: list[Repeat] = []
    _repeats(nodes, found)
    return found


def _repeats(nodes: list[Node], found: list[Repeat]) -> None:
    for node in nodes:
        if isinstance(node, Repeat):
            found.append(node)
        if isinstance(node, Branch):
            for arm in node.arms:
                _repeats(arm, found)
        elif isinstance(node, (Repeat, Within, Call)):
            _repeats(node.body, found)


__all__ = [
    "Accumulate", "Backward", "Branch", "Call", "ClipGrad", "Condition", "Construct", "Escape", "Event", "Exhaust",
    "Exit", "Forward", "GradEdit", "LoadSnapshot", "ManualUpdate", "ModeSwitch", "Node", "Optimizer", "OptimizerStep",
    "Rebind", "Repeat", "Run", "SaveSnapshot", "Scaler", "ScalerUpdate", "SchedulerStep", "TakeSnapshot", "Unscale",
    "Within", "ZeroGrad", "repeats", "walk",
]  # fmt: skip
