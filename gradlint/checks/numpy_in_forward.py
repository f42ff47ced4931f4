"""GL219: numpy, `tolist()` or `float()` computes on a tensor, and what it hung on is reached by no other way."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.holding import related
from gradlint.facts.interpret.tensors import ancestry, parts
from gradlint.facts.model import ModuleDef, TrainingFacts
from gradlint.facts.updates import updates
from gradlint.facts.values import Cut, Tensor, Value
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge what every forward returns and every loss that trains."""
    seen: set[Cut] = set()
    found: list[tuple[Cut, Value]] = []
    for definition in facts.modules:
        found.extend(_starved_in(definition))
    for update in updates(facts):
        for cut in update.loss.cuts:
            module = update.starves(cut) if _computes(cut) else update.misses(cut) if _added(cut) else None
            if module is not None:
                found.append((cut, module))
                break
    for cut, module in found:
        if cut not in seen and cut.place not in {other.place for other in seen}:
            seen.add(cut)
            written = cut.kind.partition(" ")[2] or {"float": "float()", "tolist": ".tolist()"}[cut.kind]
            values = {"expression": written, "tensor": facts.name_of(module, getattr(module, "name", "the tensor"))}
            yield Finding("numpy-in-forward", cut.place.path, Range(*cut.place.at), values)


def _computes(cut: Cut) -> bool:
    return cut.kind in ("float", "tolist") or cut.kind.startswith("computed ")


def _added(cut: Cut) -> bool:
    return cut.kind.startswith("added ") and cut.kind != "added grad"


def _starved_in(definition: ModuleDef) -> Iterator[tuple[Cut, Value]]:
    outputs = [part for part in parts([definition.output]) if isinstance(part, Tensor) and part.roots]
    for output in outputs:
        computed = [cut for cut in output.cuts if _computes(cut) and cut.lost]
        above = [part for part in ancestry(output).values() if isinstance(part, Tensor)] if computed else []
        reached = {root for part in above for root in part.roots if root is not definition.instance}
        for cut in computed:
            if not any(related(a, b) for a in cut.lost for b in reached):
                yield cut, next(iter(cut.lost))
                break
