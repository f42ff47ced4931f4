"""Runs a state machine over an event tree, on every path, to the fixpoint of its loops.

A machine says what each event does to a state and reports, for an event it watches (the origin), that things went
`bad`, `ok` or are `unsure` because somebody unseen took part. An origin is *sure* if it went bad and never ok or
unsure. Branches on the same condition take the same arm; a condition that an iteration can change is forgotten with it.
A loop is taken to run at least once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import field
from itertools import islice

from gradlint.facts.events import Branch, Call, Condition, Event, Exit, Node, Repeat, Within
from gradlint.facts.record import record, replace

STATES = 192
"""Paths kept apart at one point; beyond, what branches assumed is forgotten, and if that is not enough some paths are
dropped and no verdict of the run is sure any more."""
SAMPLE = 8
"""Paths followed further once some had to be dropped."""
ASSUMPTIONS = 24
"""Conditions a path remembers; those met later are taken both ways each time, which only makes verdicts weaker."""
ROUNDS = 12
"""Rounds of a loop until its states are taken as stable."""

State = Hashable
Paths = dict[State, set[int]]
"""States, each with what the paths to it assumed: a set of bits, one for each side of a condition."""


@record
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
        self._reported: set[tuple[int, str, int]] = set()

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
        key = (id(origin), verdict, id(at))
        if key not in self._reported:
            self._reported.add(key)
            judgement = self.judgements.setdefault(id(origin), Judgement(origin))
            getattr(judgement, verdict).append(at)

    def run(self, tree: list[Node]) -> list[Judgement]:
        """Run over a tree; the judgements in order of their places."""
        kept = pruned(tree, self.watches)
        outcome = _Runner(self, kept).block(kept, {self.start: {0}})
        for paths in (outcome.paths, *outcome.exits.values()):
            for state in paths:
                self.finish(state)
        if self.overflowed:
            for judgement in self.judgements.values():
                judgement.unsure.append(judgement.origin)
        return sorted(self.judgements.values(), key=lambda j: (j.origin.place.path, j.origin.place.at))


def pruned(nodes: list[Node], watches: tuple[type[Event], ...]) -> list[Node]:
    """A tree without the events nobody watches, and without what is empty then."""
    return [node for node, _ in _pruned(nodes, watches)]


def _pruned(nodes: list[Node], watches: tuple[type[Event], ...]) -> list[tuple[Node, frozenset[str]]]:
    """What is kept, each part with the kinds of exits in it, and `event` where it holds one."""
    kept: list[tuple[Node, frozenset[str]]] = []
    for node in nodes:
        if isinstance(node, Event):
            if isinstance(node, watches):
                kept.append((node, _EVENT))
        elif isinstance(node, Exit):
            kept.append((node, frozenset((node.kind,))))
        elif isinstance(node, Branch):
            arms = [_pruned(arm, watches) for arm in node.arms]
            exits = [frozenset().union(*(found for _, found in arm)) for arm in arms]
            if any(found != {"raise"} for arm, found in zip(arms, exits, strict=True) if arm):
                kept.append((replace(node, arms=[[n for n, _ in arm] for arm in arms]), frozenset().union(*exits)))
        else:
            body = _pruned(node.body, watches)
            if isinstance(node, Call):
                # What a callee does after its last event only brings it back to its caller.
                while body and "event" not in body[-1][1]:
                    body.pop()
            found = frozenset().union(*(found for _, found in body))
            if body and found - ({"continue", "break"} if isinstance(node, Repeat) else set()):
                kept.append((replace(node, body=[n for n, _ in body]), found))
    return kept


_EVENT = frozenset({"event"})


@record
class _Outcome:
    paths: Paths
    exits: dict[str, Paths] = field(default_factory=dict)

    def leave_by(self, kind: str, paths: Paths) -> None:
        _add(self.exits.setdefault(kind, {}), paths)


class _Runner:
    def __init__(self, machine: Machine, tree: list[Node]) -> None:
        self.machine = machine
        self.variants: dict[int, frozenset[str]] = {}
        self.bits: dict[str, dict[int, int]] = {}
        self.used = 0
        met: dict[str, int] = {}
        self._meet(tree, None, met)
        self.lasting = {key for key, count in met.items() if count > 1}
        """Conditions that a path can meet again; what it assumed about others need not be remembered."""

    def _meet(self, nodes: list[Node], variant: frozenset[str] | None, met: dict[str, int]) -> None:
        for node in nodes:
            if isinstance(node, Branch):
                key = node.condition.key
                again = variant is not None and key not in variant
                met[key] = met.get(key, 0) + 1 + again
                for arm in node.arms:
                    self._meet(arm, variant, met)
            elif isinstance(node, Repeat):
                self.variants[id(node)] = _variant(node)
                self._meet(node.body, self.variants[id(node)], met)
            elif isinstance(node, (Within, Call)):
                self._meet(node.body, variant, met)

    def block(self, nodes: list[Node], paths: Paths) -> _Outcome:
        outcome = _Outcome(paths)
        for node in nodes:
            if not outcome.paths:
                break
            if isinstance(node, Event):
                after: Paths = {}
                for state, assumed in outcome.paths.items():
                    after.setdefault(self.machine.on(state, node), set()).update(assumed)
                outcome.paths = after
                continue
            if isinstance(node, Exit):
                outcome.leave_by(node.kind, outcome.paths)
                outcome.paths = {}
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
            _add(outcome.paths, outcome.exits.pop("return", {}))
        return outcome

    def _branch(self, node: Branch, paths: Paths) -> _Outcome:
        outcome = _Outcome({})
        arms = len(node.arms)
        for index, arm in enumerate(node.arms):
            inner = self.block(arm, self._taken(paths, node.condition, _side(node.condition, index, arms), arms))
            _add(outcome.paths, inner.paths)
            for kind, left in inner.exits.items():
                outcome.leave_by(kind, left)
        return outcome

    def _taken(self, paths: Paths, condition: Condition, side: int, arms: int) -> Paths:
        """The paths that can take a side of a branch, which they remember."""
        key = condition.key
        if key not in self.lasting:
            return {state: set(assumed) for state, assumed in paths.items()}
        bit = self._bit(key, side)
        against = self._bit(key, side ^ 1) if arms == 2 else self._mask((key,)) & ~bit
        taken: Paths = {}
        for state, assumed in paths.items():
            kept = {a | bit if a.bit_count() < ASSUMPTIONS else a for a in assumed if not a & against}
            if kept:
                taken[state] = kept
        return taken

    def _repeat(self, node: Repeat, paths: Paths) -> _Outcome:
        variant = self.variants[id(node)]
        seen: Paths = {}
        entering = self._forget(paths, variant)
        outcome = _Outcome({})
        after: Paths = {}
        for _ in range(ROUNDS):
            fresh = {
                state: new for state, assumed in entering.items() if (new := assumed - seen.get(state, frozenset()))
            }
            if not fresh:
                break
            _add(seen, fresh)
            inner = self.block(node.body, self._bounded(fresh))
            ended = inner.paths
            _add(ended, inner.exits.pop("continue", {}))
            _add(after, ended)
            _add(after, inner.exits.pop("break", {}))
            for kind, left in inner.exits.items():
                outcome.leave_by(kind, left)
            entering = self._bounded(self._moved(ended, variant, lambda state: self.machine.again(state, node)))
        outcome.paths = self._moved(after, variant, lambda state: self.machine.leave(state, node))
        for kind, left in outcome.exits.items():
            outcome.exits[kind] = self._moved(left, variant, lambda state: self.machine.leave(state, node))
        return outcome

    def _moved(self, paths: Paths, variant: frozenset[str], move: Callable[[State], State]) -> Paths:
        moved: Paths = {}
        for state, assumed in self._forget(paths, variant).items():
            moved.setdefault(move(state), set()).update(assumed)
        return moved

    def _forget(self, paths: Paths, variant: frozenset[str]) -> Paths:
        mask = ~self._mask(variant)
        return {state: {a & mask for a in assumed} for state, assumed in paths.items()}

    def _bit(self, key: str, side: int) -> int:
        sides = self.bits.setdefault(key, {})
        if side not in sides:
            sides[side] = 1 << self.used
            self.used += 1
        return sides[side]

    def _mask(self, keys: Iterable[str]) -> int:
        return sum(bit for key in keys if key in self.bits for bit in self.bits[key].values())

    def _bounded(self, paths: Paths) -> Paths:
        if sum(map(len, paths.values())) <= (SAMPLE if self.machine.overflowed else STATES):
            return paths
        if len(paths) > STATES:
            self.machine.overflowed = True
        kept = islice(paths, SAMPLE) if self.machine.overflowed else paths
        return {state: {0} for state in kept}


def _add(paths: Paths, more: Paths) -> None:
    for state, assumed in more.items():
        paths.setdefault(state, set()).update(assumed)


def _side(condition: Condition, index: int, arms: int) -> int:
    if arms == 2 and index < 2:
        return index ^ 1 if condition.negated else index
    return index


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
