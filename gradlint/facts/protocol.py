"""Runs a state machine over an event tree, on every path, to the fixpoint of its loops.

A machine says what each event does to a state and reports, for an event it watches (the origin), that things went
`bad`, `ok` or are `unsure` because somebody unseen took part. An origin is *sure* if it went bad and never ok or
unsure. Branches on the same condition take the same arm; a condition that an iteration can change is forgotten with it.
A loop is taken to run at least once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from itertools import islice

from gradlint.facts.events import Branch, Call, Condition, Event, Exit, Node, Repeat, Within

STATES = 192
"""Paths kept apart at one point; beyond, what branches assumed is forgotten, and if that is not enough some paths are
dropped and no verdict of the run is sure any more."""
ASSUMPTIONS = 24
"""Conditions a path remembers; those met later are taken both ways each time, which only makes verdicts weaker."""
ROUNDS = 12
"""Rounds of a loop until its states are taken as stable."""

State = Hashable
Path = tuple[State, frozenset[tuple[str, int]]]
Paths = set[Path]


@dataclass(slots=True, eq=False)
class Judgement:
    """What was reported about one origin, and where."""

    origin: Event
    bad: list[Event] = field(default_factory=list)
    ok: list[Event] = field(default_factory=list)
    unsure: list[Event] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`sure`, `maybe` or `no`."""
        if not self.bad:
            return "no"
        return "maybe" if self.ok or self.unsure else "sure"


class Machine(ABC):
    """A table over (state, event). States are hashable; `start` is the state before anything happened.

    `watches` are the kinds of events that can change a state; branches, calls and loops without any are passed over.
    """

    start: State = "start"
    watches: tuple[type[Event], ...] = (Event,)

    def __init__(self) -> None:
        self.judgements: dict[int, Judgement] = {}
        self.overflowed = False

    @abstractmethod
    def on(self, state: State, event: Event) -> State:
        """The state after `event`."""

    def leave(self, state: State, loop: Repeat) -> State:
        """The state after `loop` was left."""
        return state

    def again(self, state: State, loop: Repeat) -> State:
        """The state in which another iteration of `loop` begins."""
        return state

    def finish(self, state: State) -> None:  # noqa: B027
        """The run ended in `state`."""

    def report(self, origin: Event, verdict: str, at: Event) -> None:
        """Things went `bad`, `ok` or `unsure` for `origin` when `at` happened."""
        judgement = self.judgements.setdefault(id(origin), Judgement(origin))
        events = getattr(judgement, verdict)
        if all(event is not at for event in events):
            events.append(at)

    def run(self, tree: list[Node]) -> list[Judgement]:
        """Run over a tree; the judgements in order of their places."""
        outcome = _Runner(self).block(pruned(tree, self.watches), {(self.start, frozenset())})
        for paths in (outcome.paths, *outcome.exits.values()):
            for state, _ in paths:
                self.finish(state)
        if self.overflowed:
            for judgement in self.judgements.values():
                judgement.unsure.append(judgement.origin)
        return sorted(self.judgements.values(), key=lambda j: (j.origin.place.path, j.origin.place.at))


def pruned(nodes: list[Node], watches: tuple[type[Event], ...]) -> list[Node]:
    """A tree without the events nobody watches, and without what is empty then."""
    kept: list[Node] = []
    for node in nodes:
        if isinstance(node, Event):
            if isinstance(node, watches):
                kept.append(node)
        elif isinstance(node, Exit):
            kept.append(node)
        elif isinstance(node, Branch):
            arms = [pruned(arm, watches) for arm in node.arms]
            if any(_exits(arm) != {"raise"} for arm in arms if arm):
                kept.append(replace(node, arms=arms))
        else:
            body = pruned(node.body, watches)
            if isinstance(node, Call):
                # What a callee does after its last event only brings it back to its caller.
                while body and "event" not in _exits(body[-1:]):
                    body.pop()
            if body and _exits(body) - ({"continue", "break"} if isinstance(node, Repeat) else set()):
                kept.append(replace(node, body=body))
    return kept


def _exits(nodes: list[Node]) -> set[str]:
    """The kinds of exits in a pruned tree, and `event` where it holds one."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Event):
            found.add("event")
        elif isinstance(node, Exit):
            found.add(node.kind)
        else:
            for part in node.arms if isinstance(node, Branch) else [node.body]:
                found |= _exits(part)
    return found


@dataclass(slots=True)
class _Outcome:
    paths: Paths
    exits: dict[str, Paths] = field(default_factory=dict)

    def leave_by(self, kind: str, paths: Paths) -> None:
        self.exits.setdefault(kind, set()).update(paths)


class _Runner:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.loops: list[int] = []

    def block(self, nodes: list[Node], paths: Paths) -> _Outcome:
        outcome = _Outcome(paths)
        for node in nodes:
            if not outcome.paths:
                break
            if isinstance(node, Event):
                outcome.paths = {(self.machine.on(state, node), assumed) for state, assumed in outcome.paths}
                continue
            if isinstance(node, Exit):
                outcome.leave_by(node.kind, outcome.paths)
                outcome.paths = set()
                break
            inner = self._node(node, outcome.paths)
            for kind, left in inner.exits.items():
                outcome.leave_by(kind, left)
            outcome.paths = self._bounded(inner.paths)
        return outcome

    def _node(self, node: Branch | Repeat | Within | Call, paths: Paths) -> _Outcome:
        if isinstance(node, Branch):
            return self._branch(node, paths)
        if isinstance(node, Repeat):
            return self._repeat(node, paths)
        outcome = self.block(node.body, paths)
        if isinstance(node, Call):
            outcome.paths = outcome.paths | outcome.exits.pop("return", set())
        return outcome

    def _branch(self, node: Branch, paths: Paths) -> _Outcome:
        outcome = _Outcome(set())
        arms = len(node.arms)
        for index, arm in enumerate(node.arms):
            side = _side(node.condition, index, arms)
            taken = {
                (state, _assume(assumed, node.condition.key, side))
                for state, assumed in paths
                if _allows(assumed, node.condition.key, side, arms)
            }
            inner = self.block(arm, taken)
            outcome.paths |= inner.paths
            for kind, left in inner.exits.items():
                outcome.leave_by(kind, left)
        return outcome

    def _repeat(self, node: Repeat, paths: Paths) -> _Outcome:
        variant = _variant(node)
        seen: Paths = set()
        entering = _forget(paths, variant)
        outcome = _Outcome(set())
        after: Paths = set()
        for _ in range(ROUNDS):
            fresh = entering - seen
            if not fresh:
                break
            seen |= fresh
            inner = self.block(node.body, self._bounded(fresh))
            ended = inner.paths | inner.exits.pop("continue", set())
            after |= ended | inner.exits.pop("break", set())
            for kind, left in inner.exits.items():
                outcome.leave_by(kind, left)
            entering = self._bounded(
                {(self.machine.again(state, node), assumed) for state, assumed in _forget(ended, variant)}
            )
        outcome.paths = {(self.machine.leave(state, node), assumed) for state, assumed in _forget(after, variant)}
        for kind in list(outcome.exits):
            outcome.exits[kind] = {
                (self.machine.leave(state, node), a) for state, a in _forget(outcome.exits[kind], variant)
            }
        return outcome

    def _bounded(self, paths: Paths) -> Paths:
        if len(paths) <= STATES:
            return paths
        paths = {(state, frozenset()) for state, _ in paths}
        if len(paths) <= STATES:
            return paths
        self.machine.overflowed = True
        return set(islice(paths, STATES))


def _side(condition: Condition, index: int, arms: int) -> int:
    if arms == 2 and index < 2:
        return index ^ 1 if condition.negated else index
    return index


def _assume(assumed: frozenset[tuple[str, int]], key: str, side: int) -> frozenset[tuple[str, int]]:
    return assumed if len(assumed) >= ASSUMPTIONS else assumed | {(key, side)}


def _allows(assumed: frozenset[tuple[str, int]], key: str, side: int, arms: int) -> bool:
    if arms == 2:
        return (key, side ^ 1) not in assumed
    return all(known_key != key or known == side for known_key, known in assumed)


def _variant(loop: Repeat) -> frozenset[str]:
    """Keys of the conditions that an iteration of `loop`, or of a loop inside it, can change."""
    keys: set[str] = set()
    numbers: set[int] = set()

    def collect(nodes: list[Node]) -> None:
        for node in nodes:
            if isinstance(node, Branch):
                for arm in node.arms:
                    collect(arm)
            elif isinstance(node, Repeat):
                numbers.add(node.number)
                collect(node.body)
            elif isinstance(node, (Within, Call)):
                collect(node.body)

    def gather(nodes: list[Node]) -> None:
        for node in nodes:
            if isinstance(node, Branch):
                if node.condition.loop is not None and (node.condition.loop in numbers or node.condition.loop == 0):
                    keys.add(node.condition.key)
                for arm in node.arms:
                    gather(arm)
            elif isinstance(node, (Repeat, Within, Call)):
                gather(node.body)

    numbers.add(loop.number)
    collect(loop.body)
    gather(loop.body)
    return frozenset(keys)


def _forget(paths: Paths, variant: frozenset[str]) -> Paths:
    if not variant:
        return set(paths)
    return {(state, frozenset(a for a in assumed if a[0] not in variant)) for state, assumed in paths}


def repeats_around(tree: list[Node], wanted: Event) -> list[Repeat]:
    """The loops around an event, outermost first."""
    return [node for node in nodes_around(tree, wanted) if isinstance(node, Repeat)]


def nodes_around(tree: list[Node], wanted: Event) -> list[Node]:
    """The branches, loops, contexts and calls around an event, outermost first."""
    found: list[Node] = []

    def search(nodes: list[Node], around: list[Node]) -> bool:
        for node in nodes:
            if node is wanted:
                found.extend(around)
                return True
            if isinstance(node, Branch):
                if any(search(arm, [*around, node]) for arm in node.arms):
                    return True
            elif isinstance(node, (Repeat, Within, Call)) and search(node.body, [*around, node]):
                return True
        return False

    search(tree, [])
    return found
