"""GL806: a training DataLoader that neither shuffles nor has a sampler."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import code
from gradlint.facts.formulas import Formula
from gradlint.facts.loaders import TrainingLoader, training_loaders
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import NONE, Collection, Constant, Instance, Steps, Unknown, Value
from gradlint.options import Options

_RANDOM_ORDER = frozenset({"shuffle", "randint", "randrange", "randperm", "permutation", "sample", "choice", "choices"})
_LIBRARIES = ("torchvision.datasets.", "torchaudio.datasets.")
_MAP_STYLE = ("torch.utils.data.Dataset", "typing.Generic")


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every training loader over a data set in sight."""
    carried = {loop for state in facts.carried for loop in state.loops}
    for found in training_loaders(facts):
        if any(found.given(name) not in (None, NONE) for name in ("sampler", "batch_sampler")):
            continue
        if not _left_off(found.given("shuffle")) or _one_batch(found) or not _stored(facts, found.given("dataset")):
            continue
        if found.loop is not None and (found.loop.number in carried or (not found.outer and _drawn(found))):
            continue
        values = {
            "loader": facts.name_of(found.loader, "DataLoader"),
            "dataset": facts.name_of(found.given("dataset"), "the data set"),
        }
        yield Finding("unshuffled-training-loader", found.call.place.path, Range(*found.call.place.at), values)


def _left_off(shuffle: Value | None) -> bool:
    return shuffle is None or (isinstance(shuffle, Constant) and not shuffle.value and not shuffle.default)


def _one_batch(found: TrainingLoader) -> bool:
    """Whether a batch is the whole set, or no batches are made at all (`batch_size=None`)."""
    size = found.given("batch_size")
    return (isinstance(size, Constant) and size.value is None) or (
        isinstance(size, Unknown) and size.origin == "length"
    )


def _stored(facts: TrainingFacts, dataset: Value | None) -> bool:
    """Whether a data set surely gives back what is stored under an index, in an order of its own."""
    if isinstance(dataset, Steps) and dataset.kind == "tensors":
        return True
    if isinstance(dataset, Collection):
        return dataset.kind == "list" and not _shuffled(facts, dataset)
    if isinstance(dataset, Instance):
        cls = dataset.cls
        if dataset.kind != "dataset" or cls.opaque or not all(name in _MAP_STYLE for name in cls.externals()):
            return False
        names = {getattr(node, "name", "") for node in code.walk(cls.node.body)}
        return cls.find("__getitem__") is not None and cls.find("__iter__") is None and not names & _RANDOM_ORDER
    return any(c.result is dataset and c.name.startswith(_LIBRARIES) for c in facts.calls)


def _shuffled(facts: TrainingFacts, rows: Value) -> bool:
    return any(c.name.rpartition(".")[2] in _RANDOM_ORDER and rows in c.arguments for c in facts.calls)


def _drawn(found: TrainingLoader) -> bool:
    """Whether the rows are random numbers, or computed of such: in one pass, their order means nothing."""
    dataset, over = found.given("dataset"), found.loop.over if found.loop is not None else None
    if over is None or (isinstance(over, Steps) and over.kind == "range"):
        # Batches are drawn by `next`, which may start again.
        return False
    return isinstance(dataset, Steps) and any(_made(getattr(a, "formula", None)) for a in dataset.arguments)


def _made(formula: Formula | None) -> bool:
    if formula is None:
        return False
    if formula.op.startswith("rand"):
        return True
    computed = [part for part in formula.inputs if part.op != "number"]
    return bool(computed) and all(_made(part) for part in computed)
