"""GL408: gradient clipping called by its name from before PyTorch 0.4."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Edit, Finding, Fix, Range
from gradlint.facts.events import Branch, ClipGrad
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.protocol import nodes_around
from gradlint.facts.values import Place
from gradlint.options import Options

_OLD = "torch.nn.utils.clip_grad_norm"
_NAME = _OLD.rpartition(".")[2]


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every call of the old name but those of a fallback for old versions."""
    fallbacks = _fallbacks(facts)
    bound = {imported.bound for imported in facts.imports if imported.name == f"{_OLD}_"}
    calls = [call for call in facts.calls if call.name == _OLD and call.place.path == facts.path]
    for call in calls:
        if call.place in fallbacks or any(f"{name}(" in call.spans for name in bound):
            continue
        values: dict[str, str | int | float] = {"old": _NAME, "new": f"{_NAME}_"}
        yield Finding("deprecated-clip", call.place.path, Range(*call.place.at), values, _fix(facts, call, calls))


def _fallbacks(facts: TrainingFacts) -> set[Place]:
    """Clips in a branch that asks for a version or for the name itself."""
    found: set[Place] = set()
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, ClipGrad):
                tests = [node.condition.text for node in nodes_around(run.tree, event) if isinstance(node, Branch)]
                if any("version" in test or "hasattr" in test for test in tests):
                    found.add(event.place)
    return found


def _fix(facts: TrainingFacts, call: CallFact, calls: list[CallFact]) -> Fix | None:
    """The underscore at the call, or at the import and every call of the imported name."""
    dotted = call.spans.get(f".{_NAME}")
    if dotted is not None:
        return _underscores([Range(*dotted)])
    imports = [imported for imported in facts.imports if imported.name == _OLD and imported.place.path == facts.path]
    if len(imports) != 1:
        return None
    uses = []
    if imports[0].bound == _NAME:
        uses = [other.spans.get(f"{_NAME}(") for other in calls if f".{_NAME}" not in other.spans]
        if len(uses) != facts.reads(_NAME):
            return None
    if None in uses or f"{imports[0].bound}(" not in call.spans:
        return None
    return _underscores([Range(*imports[0].place.at), *(Range(*span) for span in uses if span is not None)])


def _underscores(names: list[Range]) -> Fix:
    ends = [Range(name.end_line, name.end_column, name.end_line, name.end_column) for name in names]
    return Fix(f"Call `{_NAME}_`", tuple(Edit(end, "_") for end in ends))
