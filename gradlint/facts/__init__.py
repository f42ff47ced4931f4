"""The semantic model: what a training script is made of and in which order things happen.

The contract

Known: a value is known only if every path of the code that can be seen gives it. Names are followed through aliases,
attributes, tuples, containers, factories, arguments of local functions and methods, closures and imported local
modules. Constants come from literals; a default that a user can change from outside (argparse, dataclass, dict config,
parameter default) is known as a number but decides no branch.

UNKNOWN: results of code that cannot be seen, and values nobody visibly passes. Such a value keeps its identity and its
name; a parameter gets its role from the methods called on it. Unknown is never read as bad.

Verdicts of the order rules, judged on the event tree to the fixpoint of its loops:
`sure`   it happens on every path that gets there, and no unseen callee took part;
`maybe`  it happens on some path, or an unseen callee took the optimizer, model or loss;
`no`     it does not happen.

Bounds: steps interpreted for one way in and for the whole file, functions of other files that would use these up and so
are taken as unseen, local modules looked into (each is reported in `TrainingFacts.bounded` when hit, and by the command
on stderr); known items of a loop gone through one by one, local
calls inside one another, paths kept apart by a state machine (beyond these a value or verdict is unknown, as for any
code that cannot be seen). Of a file whose steps did not suffice, no rule is asked that finds something missing.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from gradlint.facts.link import Project as Project

_MARKS = (b"torch", b"lightning", b"accelerate", b"transformers")


def concerns(data: bytes) -> bool:
    """Whether a file's bytes can hold training code; False dismisses it before anything is parsed.

    A file that names none of these libraries is seen through the files that import it.
    """
    if not any(mark in data for mark in _MARKS):
        return False
    from gradlint.facts.gate import in_code

    return in_code(data)


def __getattr__(name: str) -> Any:
    if name == "Project":
        from gradlint.facts.link import Project

        return Project
    raise AttributeError(name)
