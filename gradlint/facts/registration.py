"""What a module has below it: what is registered, what has parameters, which optimizers hold it."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts import relations
from gradlint.facts.interpret.modules import walk
from gradlint.facts.model import TrainingFacts
from gradlint.facts.torch_names import PARAMETRIC
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    Instance,
    Layer,
    Mapping,
    Optimizer,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
)


def modules_in(value: Value | None, depth: int = 0) -> Iterator[Value]:
    """The modules inside lists, tuples and dicts, each once for each place it stands in."""
    if is_module(value) and not isinstance(value, Choice):
        yield value  # type: ignore[misc]
    elif isinstance(value, (Collection, Mapping)) and depth < 4:
        items = value.items if isinstance(value, Collection) else value.items.values()
        for item in items:
            yield from modules_in(item, depth + 1)


def has_parameters(module: Value) -> bool:
    """Whether a module surely has parameters of its own or below it."""
    return any(learns(part) for part in walk(module))


def learns(part: Value) -> bool:
    """Whether a module surely has parameters of its own."""
    if isinstance(part, Layer) and part.kind == f"torch.nn.{part.name}" and part.name in PARAMETRIC:
        return not _bare(part)
    return isinstance(part, Instance) and any(isinstance(v, Tensor) and v.parameter for v in part.attributes.values())


def _bare(layer: Layer) -> bool:
    """Norms that scale nothing: `LayerNorm(d, elementwise_affine=False)`; those of instances have no weights by
    default.
    """
    for name in ("elementwise_affine", "affine"):
        if name in layer.keywords:
            return constant(layer.keywords[name]) is False
    return layer.name.startswith("InstanceNorm")


def parameters_of(module: Value) -> str:
    """How a message names what a layer learns."""
    one = isinstance(module, Layer) and constant(module.keywords.get("bias")) is False
    return "weight" if one else "weights"


def in_optimizer(facts: TrainingFacts, value: Value) -> bool:
    """Whether an optimizer holds a module or parameter, or may hold it."""
    return any(
        relations.overlap(value, optimizer) is not False
        for optimizer in facts.optimizers
        if not _of_unseen_model(optimizer)
    )


def _of_unseen_model(optimizer: Optimizer) -> bool:
    """`def build_optimizer(model): return SGD(model.parameters())`: only what the model registers."""
    held = relations.sources(optimizer)
    return bool(held) and all(isinstance(owner, Unknown) and owner.origin == "parameter" for owner in held or ())


def frozen(module: Value) -> bool:
    """Whether a module was wrapped or built as one that does not learn."""
    return isinstance(module, Layer) and isinstance(module.keywords.get("requires_grad"), Constant)
