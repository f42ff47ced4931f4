"""GL406: an iterator over parameters is read a second time, when nothing is left in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.diagnostics import Finding, Range
from gradlint.facts import relations
from gradlint.facts.events import Branch, Construct, Escape, Event, Exhaust, Repeat, Run
from gradlint.facts.model import TrainingFacts
from gradlint.facts.protocol import Machine, State, nodes_around
from gradlint.facts.values import Value
from gradlint.options import Options


@dataclass(frozen=True)
class _Empty:
    """Read to its end by `by`."""

    by: Exhaust


def _each_round(run: Run, event: Event) -> bool:
    """Whether every round of the innermost loop comes here, so that the second finds what the first left."""
    around = nodes_around(run.tree, event)
    loops = [index for index, node in enumerate(around) if isinstance(node, Repeat)]
    return bool(loops) and not any(isinstance(node, Branch) for node in around[loops[-1] :])


class _Reading(Machine):
    """full -> Exhaust -> empty -> Exhaust: nothing was left. The first round of a loop may still find it full."""

    watches = (Construct, Escape, Exhaust)

    def __init__(self, iterator: Value, before: Exhaust | None) -> None:
        super().__init__()
        self.iterator = iterator
        self.start = _Empty(before) if before is not None else "full"
        self.ends: set[State] = set()

    def on(self, state: State, event: Event) -> State:
        if isinstance(event, Construct) and event.value is self.iterator:
            return "full"
        if isinstance(event, Escape) and relations.takes(event, self.iterator):
            return "unknown"
        if isinstance(event, Exhaust) and event.iterator is self.iterator:
            if isinstance(state, _Empty):
                self.report(event, "bad", state.by)
            elif state == "unknown":
                self.report(event, "unsure", event)
            else:
                self.report(event, "ok", event)
            return _Empty(event)
        return state

    def finish(self, state: State) -> None:
        self.ends.add(state)


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Follow every named iterator, from the run that makes it into the runs after it."""
    spent: dict[Value, Exhaust] = {}
    for run in facts.runs:
        for iterator in dict.fromkeys(event.iterator for event in run.events if isinstance(event, Exhaust)):
            machine = _Reading(iterator, spent.get(iterator))
            for judgement in machine.run(run.tree):
                origin, earlier = judgement.origin, judgement.bad[:1]
                again = (
                    any(first is origin for first in judgement.bad)
                    and not judgement.unsure
                    and _each_round(run, origin)
                )
                if earlier and (judgement.verdict == "sure" or again or options.strict) and isinstance(origin, Exhaust):
                    name, line = facts.name_of(iterator, "the iterator"), earlier[0].place.line_from(origin.place.path)
                    yield Finding(
                        "exhausted-parameters", origin.place.path, Range(*origin.place.at),
                        {"iterator": name, "first_line": line, "second": origin.by},
                    )  # fmt: skip
            if machine.ends and all(isinstance(state, _Empty) for state in machine.ends):
                spent[iterator] = next(state.by for state in machine.ends if isinstance(state, _Empty))
