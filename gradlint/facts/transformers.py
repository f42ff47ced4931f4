"""Transformers: whether a module is one, and on which side of its residual paths it normalises."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts.interpret import modules
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Instance, Layer, Operation, Value, constant

_BLOCKS = frozenset({"TransformerEncoderLayer", "TransformerDecoderLayer", "Transformer"})
_NORMS = frozenset({"LayerNorm", "RMSNorm"})


def _parts(owner: Value) -> Iterator[Value]:
    """All modules below one, and those handed to a `TransformerEncoder` to be copied."""
    for part in modules.walk(owner):
        yield part
        if isinstance(part, Layer) and part.name in ("TransformerEncoder", "TransformerDecoder"):
            given = part.argument(0, "encoder_layer") or part.argument(0, "decoder_layer")
            if isinstance(given, Layer):
                yield given


def is_transformer(facts: TrainingFacts, owner: Value) -> bool:
    """Whether attention, torch's or its own, and layer normalisation are surely among a module's parts."""
    whole = list(_parts(owner))
    parts = [part for part in whole if isinstance(part, Layer)]
    if any(part.name in _BLOCKS or part.kind.startswith("transformers.") for part in parts):
        return True
    names = {part.name for part in parts}
    return bool(names & _NORMS) and ("MultiheadAttention" in names or _attends(facts, whole))


def _attends(facts: TrainingFacts, parts: list[Value]) -> bool:
    """Whether one of the project's modules among them weighs values by a softmax."""
    own = tuple(f"{part.cls.name}." for part in parts if isinstance(part, Instance))
    weighing = [call.function for call in facts.calls if call.name.endswith(".scaled_dot_product_attention")]
    weighing.extend(found.function for found in facts.calculations if found.formula.op == "@")
    return any(function.startswith(own) for function in weighing)


def is_post_norm(facts: TrainingFacts, owner: Value) -> bool:
    """Whether a transformer surely normalises after each residual sum."""
    parts = list(_parts(owner))
    blocks = [part for part in parts if isinstance(part, Layer) and part.name in _BLOCKS]
    if blocks:
        return all("norm_first" not in b.keywords or constant(b.keywords["norm_first"]) is False for b in blocks)
    if not is_transformer(facts, owner):
        return False
    classes = {part.cls for part in parts if isinstance(part, Instance)}
    held = [s for s in facts.stacks if isinstance(s.owner, Instance) and s.owner.cls in classes]
    chains = [_kinds(stack.last) for stack in held]
    return any("norm after sum" in kinds and "norm first" not in kinds for kinds in chains)


def _kinds(last: Operation | None) -> set[str]:
    found: set[str] = set()
    for _ in range(400):
        if last is None:
            break
        before = last.previous
        if last.kind == "norm" and (before is None or before.kind != "norm"):
            found.add("norm after sum" if before is not None and before.kind in ("residual", "add") else "norm first")
        last = before
    return found
