"""`TrainingFacts`: everything the checks may ask about a file, as linked with the local modules it imports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from gradlint.facts import code
from gradlint.facts.code import Span
from gradlint.facts.events import Freeze, Run
from gradlint.facts.formulas import Formula
from gradlint.facts.record import record
from gradlint.facts.shapes import Shape
from gradlint.facts.values import (
    ClassValue,
    Instance,
    Layer,
    Operation,
    Optimizer,
    Place,
    Scaler,
    Scheduler,
    Tensor,
    Value,
)


@record
class CallFact:
    """One call of an installed function or class, with its values.

    `name` is canonical (`torch.nn.init.constant_`); a method of a known value is `Module.eval`, `Tensor.detach`.
    `repeats` are the loops around it, outermost first; `forward_of` the module whose forward it is in; `function` the
    function or method it stands in; `conditional` tells whether a branch of that function decides if it happens,
    `spans` where its keywords stand and, as `.step` or `step(`, the name that is called.
    """

    name: str
    arguments: list[Value]
    keywords: dict[str, Value]
    result: Value
    place: Place
    function: str
    repeats: tuple[int, ...]
    forward_of: Instance | None = None
    recording: bool | None = True
    discarded: bool = False
    receiver: Value | None = None
    conditional: bool = False
    spans: dict[str, Span] = field(default_factory=dict)

    def argument(self, position: int, keyword: str) -> Value | None:
        """The value passed for one parameter, or None."""
        if keyword in self.keywords:
            return self.keywords[keyword]
        return self.arguments[position] if position < len(self.arguments) else None


@record
class Recurrence:
    """A recurrent layer of torch applied: `length` steps (None: unseen), `fed` with a state of its own, in loops with
    their rounds.
    """

    layer: Layer
    outputs: tuple[Tensor, ...]
    length: int | None
    fed: bool
    repeats: tuple[tuple[int, int | None], ...]
    place: Place


@record
class Bypass:
    """A call of what a DistributedDataParallel wraps, not of the wrapper, that ran the network."""

    place: Place
    callee: str
    wrapper: str
    result: Value


@record
class ImportedName:
    """`from package import name as bound` of an installed package; `name` is canonical, `place` of the name alone."""

    name: str
    bound: str
    place: Place


@record
class LossCall:
    """A loss function applied: `kind` is its class name (`CrossEntropyLoss`, also for `F.cross_entropy`)."""

    kind: str
    input: Value | None
    target: Value | None
    result: Tensor
    place: Place
    function: str
    keywords: dict[str, Value]
    repeats: tuple[int, ...]
    recording: bool | None = True


@record
class Calculation:
    """A step whose derivative or value is infinite somewhere: a logarithm, a root, a quotient, `torch.where`.

    `attached`: it hangs on parameters for sure; `in_loss`: a function or class named like a loss is being run.
    `results` are what it gave in each of the calls that were followed.
    """

    formula: Formula
    place: Place
    function: str
    attached: bool
    in_loss: bool
    recording: bool | None
    results: list[Value] = field(default_factory=list)


@record
class Broadcast:
    """A column (N, 1) and a row (N,) in one operation: their difference where a network computed one of them, or their
    sum, difference or product where no gradient flows.
    """

    operation: str
    left: Shape
    right: Shape
    result: Tensor
    place: Place


@record
class HalfConstant:
    """A number beyond the range of float16 that meets a float16 tensor: `operation` is `masked_fill`, `+`, `clamp` …"""

    number: float
    operation: str
    place: Place
    function: str


@record
class AttributeWrite:
    """`owner.name = value`, written at `target`; in a module's own methods `ready` tells whether `super().__init__()`
    has run.
    """

    owner: Value
    name: str
    value: Value
    place: Place
    function: str
    ready: bool | None
    repeats: tuple[int, ...]
    target: Span | None = None


@record
class CarriedState:
    """`module` is called with something that an earlier iteration of `loops` computed, its graph still attached."""

    module: Value
    state: Tensor
    place: Place
    loops: tuple[int, ...]


@record
class InPlace:
    """`operation` changes the output of `producer` in place while autograd records; its backward needs that output."""

    operation: str
    tensor: Tensor
    producer: str
    place: Place


@record
class Bootstrap:
    """A value estimate on the target side: `kind` is target (reward + estimate), advantage (log-probability *
    advantage) or alias (`target_net = q_net`); `other` is the log-probability or the module that got a second name.
    """

    kind: str
    value: Tensor | None
    other: Value | None
    name: str
    place: Place


@record
class BareExpression:
    """An expression statement that calls nothing: `optimizer.zero_grad`."""

    text: str
    receiver: Value
    attribute: str
    place: Place
    function: str


@record
class RepeatedInstance:
    """`[layer] * n`: one module, n times; for `[norm, layer] * n` one fact for each module.

    `text` is how the code writes it.
    """

    module: Value
    count: int | None
    place: Place
    text: str


@record
class ModuleDef:
    """A local `nn.Module` class, its example instance, and what its forward does to its input.

    `reads` are the attributes its forward reads, `mentions` all names that its methods and
    those of its bases, in whatever file, read outside `__init__`.
    """

    cls: ClassValue
    instance: Instance
    place: Place
    output: Value | None = None
    reads: frozenset[str] = frozenset()
    mentions: frozenset[str] = frozenset()


@record
class Stack:
    """A run of operations in forward order, for `signal`; `owner` is the module whose forward it is."""

    owner: Value
    place: Place
    last: Operation


@record
class FunctionFact:
    """A function or method of the project that was run, by qualified name.

    `called` tells whether something in sight calls it, `mentioned` whether the file names it outside its own definition
    or decorates it, `sets_weights` whether it names initialisers; `owner` is the class it belongs to.
    """

    name: str
    place: Place
    called: bool
    mentioned: bool = True
    sets_weights: bool = False
    owner: ClassValue | None = None


@record
class TrainingFacts:
    """What the model believes about one file. Lists are in the order in which things happen.

    `nodes` is all of `program`, in no particular order; `mentions` are all names and attributes that the file
    reads. `names`, `born` and `inner` go by identity: the name a value is known by, the number of the loop whose
    iterations make it anew, the layers and parameters of a module that an output of it hangs on. `cut_short`: a run
    took more steps than are allowed, so what it lacks may stand in the rest. `beside` asks whether another file of the
    package reaches an attribute of a class. `froze`: what the trial of a loop froze, which stands for the iteration
    before. `released`: attributes that an iteration of a loop, by its number, sets to something without a graph, and
    `asked` the methods that it calls outside forwards on something unseen.
    """

    path: str
    runs: list[Run] = field(default_factory=list)
    froze: list[Freeze] = field(default_factory=list)
    calls: list[CallFact] = field(default_factory=list)
    losses: list[LossCall] = field(default_factory=list)
    calculations: list[Calculation] = field(default_factory=list)
    broadcasts: list[Broadcast] = field(default_factory=list)
    half_constants: list[HalfConstant] = field(default_factory=list)
    writes: list[AttributeWrite] = field(default_factory=list)
    carried: list[CarriedState] = field(default_factory=list)
    released: set[tuple[str, int]] = field(default_factory=set)
    asked: set[tuple[str, int]] = field(default_factory=set)
    in_place: list[InPlace] = field(default_factory=list)
    bootstraps: list[Bootstrap] = field(default_factory=list)
    bare: list[BareExpression] = field(default_factory=list)
    repeated: list[RepeatedInstance] = field(default_factory=list)
    modules: list[ModuleDef] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    optimizers: list[Optimizer] = field(default_factory=list)
    schedulers: list[Scheduler] = field(default_factory=list)
    scalers: list[Scaler] = field(default_factory=list)
    functions: list[FunctionFact] = field(default_factory=list)
    imports: list[ImportedName] = field(default_factory=list)
    recurrences: list[Recurrence] = field(default_factory=list)
    bypasses: list[Bypass] = field(default_factory=list)
    bounded: list[str] = field(default_factory=list)
    cut_short: bool = False
    beside: Callable[[str, str], bool] = lambda cls, name: False
    frameworks: set[str] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)
    program: list[code.Stmt] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    born: dict[int, int] = field(default_factory=dict)
    inner: dict[int, frozenset[Value]] = field(default_factory=dict)
    mentions: frozenset[str] = frozenset()
    uses: dict[str, frozenset[str]] = field(default_factory=dict)
    _of_kinds: dict[tuple[type, ...], list[Any]] = field(default_factory=dict, init=False)

    def nodes_of(self, *kinds: type) -> list[Any]:
        """Those of `nodes` that are of these kinds, looked up once."""
        if kinds not in self._of_kinds:
            self._of_kinds[kinds] = [node for node in self.nodes if type(node) in kinds]
        return self._of_kinds[kinds]

    def reads(self, name: str) -> int:
        """How often the file's code mentions a plain name outside imports."""
        return sum(node.name == name for node in self.nodes_of(code.Name))

    def name_of(self, value: Value | None, fallback: str = "it") -> str:
        """The name under which the code knows a value: `self.optimizer`, `opt_g`."""
        return self.names.get(id(value), fallback) if value is not None else fallback
