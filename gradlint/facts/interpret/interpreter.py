"""State of one interpretation, and its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradlint.facts import code
from gradlint.facts.code import Span, Stmt
from gradlint.facts.events import (
    Event,
    Exit,
    GradEdit,
    Node,
    Rebind,
)
from gradlint.facts.interpret import (
    assign,
    bootstraps,
    branching,
    calls,
    classes,
    context_managers,
    expressions,
    functions,
    imports,
    iterators,
    looping,
    modules,
    tensors,
    wrappers,
    writing,
)
from gradlint.facts.interpret.costs import Costs, Key, TooManyStepsError
from gradlint.facts.interpret.frame import Frame
from gradlint.facts.model import AttributeWrite, BareExpression, Calculation, TrainingFacts
from gradlint.facts.roles import carries_graph, passed, training_method
from gradlint.facts.scope import Journal, Scope
from gradlint.facts.values import (
    Constant,
    Context,
    FunctionValue,
    Instance,
    Method,
    Place,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradlint.facts.link import Project

STEPS = (20_000, 2)
"""Statements and calls interpreted for one way into a file before the rest counts as unknown: so many, and so many more
for each line of the file."""
TOTAL = (32_000, 6)
"""The same for all ways into a file together."""
IDLE = (8_000, 2)
"""The same for a file that trains nothing itself and has no modules."""
_TRAINING = frozenset({"backward", "zero_grad"})


class Interpreter:
    """Runs statements over values; one per linted file, with one tape for each way in."""

    def __init__(
        self,
        facts: TrainingFacts,
        project: Project,
        lines: int,
        unseen: dict[Key, str],
        last: bool,
    ) -> None:
        self.facts = facts
        self.project = project
        self.journal = Journal()
        self.tape: list[Node] = []
        self.frames: list[Frame] = []
        self.exhausted = False
        self.repeats: list[int] = []
        self.quiet = 0
        self.recording: bool | None = True
        self.recording_context = ""
        self.autocast = False
        self.casting = ""
        self.halves: frozenset[int] = frozenset()
        self.forwards: list[Instance | None] = []
        self.reads: set[str] = set()
        self.branches = 0
        self.unusual = False
        self.carrying = False
        self.hooked = 0
        self.called: code.Call | None = None
        self.steps = STEPS[0] + STEPS[1] * lines
        self.lines = lines
        self.left = self.total = TOTAL[0] + TOTAL[1] * lines
        self.allowed = 0
        self.fuel = 0
        self.floor = 0
        self.unseen = unseen
        self.last = last
        self.costs = Costs()
        self.unrolled = 0
        self.resume: Callable[[Value], None] | None = None
        self.counter = 0
        self.statement: Span = (1, 1, 1, 1)
        self.entered: set[int] = set()
        self.callbacks: dict[int, tuple[FunctionValue, str]] = {}
        self.contexts: dict[int, list[Context]] = {}
        self.uses: dict[int, dict[str, frozenset[str]]] = {}
        self.examples: dict[tuple[int, str], Instance | None] = {}
        self.mentioned: dict[int, set[str]] = {}
        self.walked: dict[int, list[Any]] = {}
        self.births = facts.born
        self.calculated: dict[tuple[object, ...], Calculation] = {}
        self.carried: dict[int, int] = {}
        # What an iteration hands on that is cut by a setting of the run, and what each optimizer step drops.
        self.settled: set[int] = set()
        self.dropped: set[int] = set()
        self.lent: set[int] = set()
        self.left_over: tuple[int, dict[int, frozenset[int]]] = (0, {})
        self.rounds: dict[int, int | None] = {}
        self.sizes: dict[int, dict[int, int]] = {}
        self.wrappers: dict[int, str] = {}
        self.wrapped: dict[tuple[int, str], str] = {}
        # An id is only a key while its object lives.
        self.kept: list[Value] = []
        self.seen: set[tuple[object, ...]] = set()
        self.built: list[Instance] = []
        self.inside: set[int] = set()
        self.given: dict[int, list[tuple[list[Value], dict[str, Value]]]] = {}
        self.mentions: dict[str, int] = {}

    # State

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    @property
    def scope(self) -> Scope:
        return self.frames[-1].scope

    def place(self, at: Span | None) -> Place:
        """Where something stands, in the file of the code being run."""
        return Place(self.frames[-1].scope.path, at or self.statement)

    def emit(self, event: Event) -> None:
        """Put an event on the tape."""
        self.tape.append(event)

    @contextmanager
    def taped(self) -> Iterator[list[Node]]:
        """Collect events apart."""
        outer, self.tape = self.tape, []
        try:
            yield self.tape
        finally:
            self.tape = outer

    @contextmanager
    def grad_mode(self, recording: bool | None, context: str) -> Iterator[None]:
        """Run with autograd recording on, off or unknown; `context` is the kind of context manager that says so."""
        before = (self.recording, self.recording_context)
        self.recording, self.recording_context = recording, context
        try:
            yield
        finally:
            self.recording, self.recording_context = before

    def names_in(self, node: code.For) -> set[str]:
        """Names that the body of a loop mentions, looked up once."""
        found = self.mentioned.get(id(node))
        if found is None:
            found = self.mentioned[id(node)] = writing.attribute_names(node.body)
        return found

    def below(self, function: code.Function | code.Lambda) -> list[Any]:
        """All that stands in the body of a function, walked once."""
        found = self.walked.get(id(function))
        if found is None:
            found = self.walked[id(function)] = list(code.walk(function.body))
        return found

    def once(self, *key: object) -> bool:
        """Whether a fact should be kept now: not in a trial pass, and not twice for the same key."""
        if self.quiet:
            return False
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    def unknown(self, hint: str = "", origin: str = "value", touched: tuple[Value, ...] = ()) -> Unknown:
        """A new unknown value, born in the current loop."""
        kept, graph = passed(touched)
        value = Unknown(hint, origin, touched=kept, graph=graph, maker=hint if origin == "call" else "")
        if self.repeats:
            self.births[id(value)] = self.repeats[-1]
            self.kept.append(value)
        return value

    def call_it(self, name: str, value: Value, lent: bool = False) -> None:
        """Remember the first name under which a value is known; one `lent` by a callee's parameter gives way."""
        if isinstance(value, Unknown) and value.origin == "call" and id(value) not in self.facts.names:
            # What an unseen factory made is known by the name it is given: `net = build(cfg)`.
            value.hint = name
        if not isinstance(value, Constant):
            if lent and id(value) not in self.facts.names:
                self.lent.add(id(value))
            elif id(value) in self.lent and not lent and "." not in name:
                self.lent.discard(id(value))
                self.facts.names.pop(id(value), None)
            self.facts.names.setdefault(id(value), name)
            self.kept.append(value)
            iterators.keep(self, value)
        if isinstance(value, (Unknown, Tensor)) and not value.hint:
            value.hint = name

    # Statements

    def block(self, statements: list[Stmt]) -> str | None:
        """Run statements; returns how control left them (return, break, continue, raise, mixed) or None."""
        for statement in statements:
            self.fuel -= 1
            if self.fuel <= self.floor:
                self._exhausted()
                return None
            self.statement = statement.at
            ended = _RUN[type(statement)](self, statement)
            if ended is not None:
                return ended
        return None

    def _exhausted(self) -> None:
        if not self.exhausted:
            dearest = (
                {}
                if self.last or not self.trains()
                else self.costs.dearest(self, self.total - self.left + self.allowed - self.fuel)
            )
            if dearest:
                raise TooManyStepsError(dearest)
            self.exhausted = True
            place = f"{self.scope.path}:{self.statement[0]}"
            about = f" for {self.facts.path}" if self.scope.path != self.facts.path else ""
            most = self.steps if self.allowed == self.steps else self.total
            self.facts.bounded.append(
                f"{place}: more than {most} steps to interpret{about}; what follows counts as unknown"
            )

    def trains(self) -> bool:
        """Whether the file itself trains or has modules; if not, interpreting it at length would show no more."""
        own = (cls for cls in self.project.classes if cls.scope.path == self.facts.path)
        return any(modules.kind_of(cls) in ("module", "lightning") for cls in own) or any(
            node.name in _TRAINING for node in self.facts.nodes_of(code.Attribute)
        )

    def save_steps(self) -> None:
        """Allow fewer steps from here on, in a file that trains nothing."""
        allowed = IDLE[0] + IDLE[1] * self.lines
        self.left = max(self.left - max(self.total - allowed, 0), 0)
        self.total = min(self.total, allowed)

    @contextmanager
    def fuelled(self) -> Iterator[None]:
        """Take one way into the file, with the steps allowed for it."""
        if self.left * 2 < self.total:
            self.unseen.update(self.costs.dearest(self, self.total - self.left))
        self.allowed = self.fuel = min(self.steps, self.left)
        try:
            yield
        finally:
            self.left -= self.allowed - max(self.fuel, 0)

    def evaluate(self, node: code.Evaluate) -> str | None:
        value = expressions.evaluate(self, node.value, discarded=True)
        if isinstance(node.value, code.Attribute) and self.once("bare", self.scope.path, node.at):
            if isinstance(value, Method):
                receiver, name = value.receiver, value.name
            elif isinstance(value, FunctionValue):
                receiver, name = value.receiver or value, node.value.name
            else:
                receiver, name = expressions.evaluate(self, node.value.base), node.value.name
            text = writing.text_of(node.value)
            self.facts.bare.append(BareExpression(text, receiver, name, self.place(node.at), self.frame.function))
        if isinstance(node.value, code.Attribute):
            base = expressions.evaluate(self, node.value.base)
            if training_method(base, node.value.name):
                expressions.evaluate(self, code.Call(node.value, [], node.at), discarded=True)
        calls.discarded(self, node, value)
        return calls.ends_process(node.value)

    def assign(self, node: code.Assign) -> str | None:
        value = assign.without_rebinding(self, node, expressions.evaluate(self, node.value))
        assign.accumulated(self, node, value)
        bootstraps.alias(self, node, value)
        for target in node.targets:
            assign.bind(self, target, value, node.at)
        wrappers.bound(self, node, value)
        return None

    def annotated(self, node: code.Annotated) -> str | None:
        if node.value is not None:
            assign.bind(self, node.target, expressions.evaluate(self, node.value), node.at)
        elif self.scope.kind == "class" and isinstance(node.target, code.Name):
            self.write(node.target.name, Unknown(node.target.name, "field"))
        return None

    def augmented(self, node: code.Augmented) -> str | None:
        assign.augment(self, node)
        return None

    def carry(self, values: Iterator[Value], number: int) -> None:
        """An iteration of loop `number` leaves these values to the next one."""
        for part in tensors.parts(values):
            if isinstance(part, Tensor) and part.roots and not part.parameter:
                self.carried[id(part)] = number
                self.kept.append(part)

    def made(self, value: Value) -> None:
        """A value that is built anew by each iteration of the current loop."""
        if self.repeats:
            self.births[id(value)] = self.repeats[-1]
            self.kept.append(value)

    def born(self, value: Value, number: int) -> None:
        """A value differs in each iteration of loop `number`."""
        self.births[id(value)] = number
        self.kept.append(value)
        for part in getattr(value, "items", ()) if not isinstance(value, Unknown) else ():
            if isinstance(part, Value):
                self.born(part, number)

    def define(self, node: code.Function) -> str | None:
        functions.define(self, node)
        return None

    def define_class(self, node: code.Class) -> str | None:
        classes.define_class(self, node)
        return None

    def give_back(self, node: code.Return) -> str | None:
        value = expressions.evaluate(self, node.value) if node.value is not None else Constant(None)
        self.frame.returns.append(value)
        self.tape.append(Exit("return", self.place(node.at)))
        return "return"

    def jump(self, node: code.Jump) -> str | None:
        if node.value is not None:
            expressions.evaluate(self, node.value)
        self.tape.append(Exit(node.kind, self.place(node.at)))
        return node.kind

    def delete(self, node: code.Delete) -> str | None:
        for target in node.targets:
            if isinstance(target, code.Name):
                self.journal.remove(self.scope.names, target.name)
        return None

    def check(self, node: code.Assert) -> str | None:
        expressions.evaluate(self, node.test)
        return None

    def bring(self, node: code.Import) -> str | None:
        imports.bring(self, node)
        return None

    def bring_from(self, node: code.ImportFrom) -> str | None:
        imports.bring_from(self, node)
        return None

    def scoped(self, node: code.Scoped) -> str | None:
        for name in node.names:
            if node.kind == "global":
                self.scope.outer[name] = self.scope.module
            elif self.scope.parent is not None:
                holder = self.scope.parent.holder(name)
                if holder is not None:
                    self.scope.outer[name] = holder
        return None

    # Names

    def write(self, name: str, value: Value) -> None:
        """Bind a name in the current scope (or where `global`/`nonlocal` put it)."""
        scope = self.scope.outer.get(name, self.scope)
        self.journal.write(scope.names, name, value)

    def attribute_written(self, owner: Value, name: str, value: Value, at: Span, target: Span | None = None) -> None:
        """Keep `owner.name = value` as a fact, and as an event where a module or a gradient is replaced."""
        place = self.place(at)
        ready = self.frame.ready if owner is self.frame.receiver else None
        if not self.forwards and not carries_graph(value):
            self.facts.released.update((name, number) for number in self.repeats)
        if self.once("write", place, id(owner), name):
            self.facts.writes.append(
                AttributeWrite(owner, name, value, place, self.frame.function, ready, tuple(self.repeats), target)
            )

    def replaced(self, owner: Value | None, attribute: str, old: Value, new: Value, at: Span) -> None:
        """A module gave way to another one."""
        self.emit(Rebind(self.place(at), self.frame.function, owner, attribute, old, new))

    def grad_edited(self, target: Value, at: Span, fresh: bool = False) -> None:
        """Own code wrote `.grad`; `fresh` if the old content is gone."""
        self.emit(GradEdit(self.place(at), self.frame.function, target, fresh))


_RUN: dict[type, Callable[[Interpreter, Any], str | None]] = {
    code.Evaluate: Interpreter.evaluate, code.Assign: Interpreter.assign, code.Annotated: Interpreter.annotated,
    code.Augmented: Interpreter.augmented, code.If: branching.branch, code.For: looping.loop,
    code.While: looping.loop_while, code.With: context_managers.within, code.Try: branching.attempt,
    code.Match: branching.match, code.Function: Interpreter.define, code.Class: Interpreter.define_class,
    code.Return: Interpreter.give_back, code.Jump: Interpreter.jump, code.Delete: Interpreter.delete,
    code.Assert: Interpreter.check, code.Import: Interpreter.bring, code.ImportFrom: Interpreter.bring_from,
    code.Scoped: Interpreter.scoped,
}  # fmt: skip
