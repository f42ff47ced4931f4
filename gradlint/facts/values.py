"""What a name can stand for. Unknown is a value, and two values are the same thing only if they are the same object."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gradlint.facts.code import Span
from gradlint.facts.formulas import Formula
from gradlint.facts.record import record
from gradlint.facts.shapes import Shape

if TYPE_CHECKING:
    from gradlint.facts import code
    from gradlint.facts.scope import Scope


class Place(NamedTuple):
    """A span of a file."""

    path: str
    at: Span

    def line_from(self, path: str) -> int | str:
        """Its line, and the name of its file where that is another one than `path`."""
        return self.at[0] if self.path == path else f"{self.at[0]} of {os.path.basename(self.path)}"


@record
class Value:
    """Base of everything a name can stand for."""


@record
class Unknown(Value):
    """Something the model cannot see: a parameter nobody passes, the result of an unknown call.

    `hint` is the name it is known by, `origin` how it came (parameter, attribute, item, call, import, value), `uses`
    the methods that the code calls on it: a parameter gets its role from use. `touched` holds what mattered among the
    arguments of the unknown call that made it, `graph` whether something that hangs on parameters went in. `parts`
    keeps attributes read so far, so that `cfg.model` is one thing however often it is named; `maker` is the unseen
    callee it comes from.
    """

    hint: str = ""
    origin: str = "value"
    uses: frozenset[str] = frozenset()
    touched: tuple[Value, ...] = ()
    parts: dict[str, Value] = field(default_factory=dict)
    graph: bool = False
    formula: Formula | None = None
    maker: str = ""
    dtype: str = ""
    shape: Shape | None = None


@record
class Constant(Value):
    """A number, string, bool or None.

    `default` marks a value that a user can change from outside (argparse, config).
    """

    value: bool | int | float | str | None
    default: bool = False
    place: Place | None = None


NONE = Constant(None)


@record
class External(Value):
    """A name of an installed package, by its canonical qualified name: `torch.optim.Adam`."""

    name: str


@record
class FunctionValue(Value):
    """A function, method or lambda of the project; `receiver` is bound as the first argument."""

    node: code.Function | code.Lambda
    scope: Scope
    receiver: Value | None = None
    owner: ClassValue | None = None

    @property
    def name(self) -> str:
        return getattr(self.node, "name", "<lambda>")


@record
class ClassValue(Value):
    """A class of the project with its bases (ClassValue, External or Unknown)."""

    node: code.Class
    scope: Scope
    bases: tuple[Value, ...]
    attributes: dict[str, Value] = field(default_factory=dict)
    order: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        return self.node.name

    def lineage(self) -> tuple[Value, ...]:
        """The class and all its bases in the order in which Python looks a name up, as far as they can be seen."""
        if not self.order:
            self.order = tuple(self._in_order())
        return self.order

    def _in_order(self) -> Iterator[Value]:
        current: Value = self
        while isinstance(current, ClassValue) and len(current.bases) < 2:
            yield current
            if not current.bases:
                return
            current = current.bases[0]
        if isinstance(current, ClassValue):
            yield current
            lists = [list(base.lineage()) if isinstance(base, ClassValue) else [base] for base in current.bases]
            yield from _linear([*lists, list(current.bases)])
        else:
            yield current

    def find(self, name: str) -> tuple[Value, ClassValue] | None:
        """Attribute or method `name` and the class that defines it."""
        for base in self.lineage():
            if isinstance(base, ClassValue) and name in base.attributes:
                return base.attributes[name], base
        return None

    def externals(self) -> list[str]:
        """Qualified names of the installed classes among its bases."""
        return [base.name for base in self.lineage() if isinstance(base, External)]

    @property
    def opaque(self) -> bool:
        """Whether a base cannot be seen at all, or a metaclass decides how instances are made."""
        return any(
            isinstance(base, (Unknown, Choice))
            or (isinstance(base, ClassValue) and base.node.metaclass not in ("", "ABCMeta", "type"))
            for base in self.lineage()
        )


def _linear(lists: list[list[Value]]) -> Iterator[Value]:
    """Python's merge of the bases' own orders; where they contradict each other, one after the other."""

    def key(value: Value) -> object:
        return value.name if isinstance(value, External) else id(value)

    while any(lists):
        heads = [order[0] for order in lists if order]
        later = {key(value) for order in lists for value in order[1:]}
        chosen = next((head for head in heads if key(head) not in later), heads[0])
        yield chosen
        lists = [[value for value in order if key(value) != key(chosen)] for order in lists]


@record
class Instance(Value):
    """An object of a local class; `kind` is module, lightning, function (autograd), dataset, optimizer … or object."""

    cls: ClassValue
    kind: str
    attributes: dict[str, Value] = field(default_factory=dict)
    place: Place | None = None
    assumed: bool = False
    assigned: dict[str, Place] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.cls.name

    @property
    def fields(self) -> list[Value] | None:
        """The fields of a named tuple, in order; None for other objects, and where a field is not known."""
        if self.kind != "object" or "typing.NamedTuple" not in self.cls.externals():
            return None
        names = [
            name
            for base in self.cls.lineage()
            if isinstance(base, ClassValue)
            for name, value in base.attributes.items()
            if not isinstance(value, FunctionValue)
        ]
        return [self.attributes[name] for name in names] if all(name in self.attributes for name in names) else None


@record
class Layer(Value):
    """A module of an installed package: `torch.nn.Linear(784, 10)`; containers keep their children.

    `started` holds how each of its parameters was set, by name: an Initialiser, AS_BUILT, or a Choice where branches
    differ.
    """

    kind: str
    arguments: list[Value]
    keywords: dict[str, Value]
    place: Place | None
    children: list[Value] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    complete: bool = True
    started: dict[str, Value] = field(default_factory=lambda: {"weight": AS_BUILT, "bias": AS_BUILT})

    @property
    def name(self) -> str:
        return self.kind.rpartition(".")[2]

    @property
    def initialised(self) -> Initialiser | None:
        """How its weight was set last, None as it was built; of kind `unknown` where that depends on a branch."""
        return started(self.started, "weight")

    def argument(self, position: int, keyword: str) -> Value | None:
        """The value passed for one parameter, or None."""
        if keyword in self.keywords:
            return self.keywords[keyword]
        return self.arguments[position] if position < len(self.arguments) else None


@record
class Initialiser(Value):
    """How a weight was set: `torch.nn.init.xavier_uniform_` with its arguments."""

    kind: str
    arguments: list[Value]
    keywords: dict[str, Value]
    place: Place | None


AS_BUILT: Initialiser = Initialiser("default", [], {}, None)
UNKNOWN_START: Initialiser = Initialiser("unknown", [], {}, None)


def started(store: dict[str, Value], name: str) -> Initialiser | None:
    """How the parameter `name` was set last; None as it was built."""
    value = store.get(name, AS_BUILT)
    if value is AS_BUILT:
        return None
    return value if isinstance(value, Initialiser) else UNKNOWN_START


@record
class Parameters(Value):
    """`model.parameters()` and what was made of it.

    `owners` are the modules (or single parameters) it comes from; `whole` is False if it was filtered or cut; an
    `exhaustible` one is an iterator that can be read once, drawing from `sources`, `kept` under a name. A `filtered`
    set leaves out what was frozen when it was made.
    """

    owners: tuple[Value, ...]
    whole: bool = True
    exhaustible: bool = False
    named: bool = False
    kept: bool = False
    sources: tuple[Value, ...] = ()
    filtered: bool = False


@record
class Optimizer(Value):
    """A torch optimizer, or one of the project (`known` is False); `closure` where its `step` cannot do without one.

    One of the project is `orderly` if its code leaves the gradients as they are, as torch's do.
    `alternatives`: a branch decides which of `parameters` it holds. `unusual`: it is built only where a setting differs
    from its default.
    """

    kind: str
    parameters: tuple[Value, ...]
    settings: dict[str, Value]
    place: Place
    known: bool = True
    groups: tuple[dict[str, Value], ...] = ()
    managed: str = ""
    closure: bool = False
    alternatives: bool = False
    unusual: bool = False
    orderly: bool = False

    @property
    def name(self) -> str:
        return self.kind.rpartition(".")[2].rpartition(":")[2]

    @property
    def protocol(self) -> bool:
        """Whether `step` uses the gradients and `zero_grad` alone clears them."""
        return self.known or self.orderly

    @property
    def inner(self) -> list[Optimizer]:
        """The optimizers that it was built over: stepping it steps them."""
        return [part for value in self.parameters for part in options(value) if isinstance(part, Optimizer)]


@record
class Scheduler(Value):
    kind: str
    optimizer: Value | None
    arguments: list[Value]
    keywords: dict[str, Value]
    place: Place

    @property
    def name(self) -> str:
        return self.kind.rpartition(".")[2]


@record
class Scaler(Value):
    kind: str
    enabled: Value | None
    place: Place


@record
class Manager(Value):
    """An object of a framework that takes over steps: Accelerator, Fabric, DeepSpeed engine, Trainer."""

    kind: str
    arguments: list[Value]
    keywords: dict[str, Value]
    place: Place


@record
class Loader(Value):
    """A DataLoader; `split` is train, test or empty, judged by the names around it."""

    arguments: list[Value]
    keywords: dict[str, Value]
    place: Place


@dataclass(slots=True, frozen=True)
class Cut:
    """Where a tensor left the autograd graph: detach, data, item, numpy, tensor, no_grad; `lost` is what it hung on
    until there, `before` the cuts it came with.
    """

    kind: str
    place: Place
    lost: frozenset[Value] = frozenset()
    before: tuple[Cut, ...] = field(default=(), compare=False)


class Form(NamedTuple):
    """What the last operation made of a tensor: softmax, log_softmax, sigmoid, logits, relu …"""

    kind: str
    place: Place
    dim: int | None = None


@record
class Operation:
    """One step of the computation that made a tensor; `branch` is the other summand of a residual."""

    kind: str
    subject: Value | None
    place: Place
    previous: Operation | None
    branch: Operation | None = None
    depth: int = 0


@record
class Tensor(Value):
    """A tensor and how it hangs on parameters.

    `roots` are the modules and parameters that a backward from it reaches for sure; `cuts` where paths were cut;
    `mystery` is True if something unknown went in, so that empty roots prove nothing. `form` is what the last operation
    made of it. `made` holds, under `weight`, the factory or initialiser that a fresh tensor or own parameter got its
    values from. `sources` are the tensors of its graph that it was computed from, and the containers they came in.
    `dtype` is its element type where that is certain, empty elsewhere; `shape` what is known of its sizes. `optional`:
    it may be None, on another path or as what unseen code gave.
    """

    roots: frozenset[Value] = frozenset()
    cuts: tuple[Cut, ...] = ()
    mystery: bool = True
    form: Form | None = None
    chain: Operation | None = None
    loss: Value | None = None
    hint: str = ""
    state_of: Value | None = None
    divided: bool = False
    parameter: bool = False
    owner: Value | None = None
    attribute: str = ""
    place: Place | None = None
    made: dict[str, Value] | None = None
    formula: Formula | None = None
    sources: tuple[Value, ...] = ()
    dtype: str = ""
    shape: Shape | None = None
    optional: bool = False

    @property
    def attached(self) -> bool:
        """Whether a backward from it reaches some parameter for sure."""
        return bool(self.roots)

    @property
    def surely_cut(self) -> bool:
        """Whether a backward from it surely reaches nothing, because every path was cut."""
        return not self.roots and not self.mystery and bool(self.cuts)


@record
class Gradient(Value):
    """`p.grad` of some parameters."""

    owner: Value


@record
class Snapshot(Value):
    """`model.state_dict()`: `copied` once it was cloned or deep-copied."""

    module: Value
    place: Place
    copied: bool = False


@record
class Collection(Value):
    """A list, tuple or set; `open` if more may be in it than `items` tells."""

    kind: str
    items: list[Value]
    open: bool = False
    place: Place | None = None
    element: Value | None = None


@record
class Mapping(Value):
    """A dict (or namespace) with constant keys; `open` if it may hold more."""

    items: dict[Any, Value]
    open: bool = False
    default: bool = False


@record
class Partial(Value):
    """`functools.partial(func, ...)`."""

    func: Value
    arguments: list[Value]
    keywords: dict[str, Value]


@record
class Method(Value):
    """A method of a value that is not a local object: `optimizer.step`, not yet called."""

    receiver: Value
    name: str


@record
class Context(Value):
    """A context manager with meaning: no_grad, enable_grad, set_grad_enabled, autocast, accumulate, scale_loss."""

    kind: str
    argument: Value | None
    place: Place
    dtype: str = ""


@record
class Steps(Value):
    """`range(n)`, `enumerate(x)`, `zip(...)`: something to loop over that is described by what it was made of."""

    kind: str
    arguments: list[Value]


@record
class LocalModule(Value):
    """A module of the project, imported as a whole."""

    scope: Scope


@record
class Super(Value):
    """`super()` in a method of `owner`, bound to `receiver`."""

    owner: ClassValue
    receiver: Value


@record
class Choice(Value):
    """One of several values, depending on a branch."""

    options: tuple[Value, ...]


Module = (Instance, Layer)


def is_module(value: Value | None) -> bool:
    """Whether a value surely is a torch module."""
    if isinstance(value, Layer):
        return True
    if isinstance(value, Instance):
        return value.kind in ("module", "lightning")
    return isinstance(value, Choice) and all(is_module(option) for option in value.options)


def constant(value: Value | None) -> bool | int | float | str | None:
    """The constant behind a value, or None (also for the constant None)."""
    return value.value if isinstance(value, Constant) else None


def number(value: Value | None) -> float | None:
    """The number behind a value, or None."""
    found = constant(value)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def integer(value: Value | None) -> int | None:
    """The integer behind a value, or None."""
    found = constant(value)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def options(value: Value | None) -> tuple[Value, ...]:
    """All values that this one can be."""
    if value is None:
        return ()
    return value.options if isinstance(value, Choice) else (value,)
