"""How many mutants gradlint finds, by operator.

    python tests/mutations/measure.py [--write]

Prints the misses and the table; `--write` stores the table as `found.md`, which a test compares with a fresh count.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from mutations import families, gradients, numerics, order
from mutations.script import Mutant, Script, load_scripts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE = HERE / "found.md"
MAKERS: dict[str, Callable[[Script], Iterator[Mutant]]] = {
    "order": order.mutants,
    "families": families.mutants,
    "gradients": gradients.mutants,
    "numerics": numerics.mutants,
}


@dataclass
class Count:
    """Mutants asked and found by operator, the codes of each operator, and a line for each miss."""

    asked: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    codes: dict[str, set[str]] = field(default_factory=dict)
    misses: list[str] = field(default_factory=list)

    def share(self, operators: list[str]) -> float:
        """Found over asked for these operators together."""
        return sum(self.found[o] for o in operators) / max(1, sum(self.asked[o] for o in operators))


@cache
def expected() -> dict[str, dict[str, dict[str, list[str]]]]:
    """`expected.toml`."""
    return tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))


@cache
def implemented() -> frozenset[str]:
    """Codes of the rules that have a check."""
    codes = set()
    for file in (ROOT / "rules").glob("*.yaml"):
        match = re.search(r"^code: *(GL\d+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        if match and (ROOT / "gradlint" / "checks" / f"{file.stem.replace('-', '_')}.py").is_file():
            codes.add(match[1])
    return frozenset(codes)


def miss(mutant: Mutant) -> str | None:
    """None where gradlint names one of the codes on one of the lines, else what it said instead."""
    from gradlint import lint_source

    entry = expected()[mutant.script][mutant.identity]
    wanted = {mutant.lines[int(line)] for line in entry["lines"]}
    said = [(d.code, d.range.line) for d in lint_source(mutant.text, f"{mutant.script}.py")]
    if any(code in entry["codes"] and line in wanted for code, line in said):
        return None
    codes = "/".join(entry["codes"])
    return f"{mutant.script} {mutant.identity}: want {codes} on {sorted(wanted)}, got {said or 'nothing'}"


def judged(kind: str, script: Script) -> list[tuple[str, str, str | None]]:
    """Operator, first code and miss of every mutant of one script that is a bug some existing rule speaks of."""
    answers = []
    for mutant in MAKERS[kind](script):
        codes = expected()[mutant.script][mutant.identity].get("codes", [])
        if implemented().intersection(codes):
            answers.append((mutant.operator, codes[0], miss(mutant)))
    return answers


def measure(kind: str) -> Count:
    """Lint every mutant of this kind (a key of MAKERS), one process a core."""
    count = Count()
    scripts = load_scripts()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        answers = [answer for part in pool.map(judged, [kind] * len(scripts), scripts) for answer in part]
    for operator, code, said in answers:
        count.asked[operator] += 1
        count.codes.setdefault(operator, set()).add(code)
        if said is None:
            count.found[operator] += 1
        else:
            count.misses.append(said)
    return count


def table(counts: dict[str, Count]) -> str:
    """The text of `found.md`."""
    rows = ["# Mutants found", "", "| kind | operator | codes | found | of |", "| --- | --- | --- | ---: | ---: |"]
    for kind, count in counts.items():
        for operator in sorted(count.asked):
            codes = " ".join(sorted(count.codes[operator]))
            rows.append(f"| {kind} | {operator} | {codes} | {count.found[operator]} | {count.asked[operator]} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Print misses and table; 0 always, the test is the gate."""
    counts = {kind: measure(kind) for kind in MAKERS}
    for count in counts.values():
        print("\n".join(count.misses))
    text = table(counts)
    print(text)
    if "--write" in sys.argv[1:]:
        TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
