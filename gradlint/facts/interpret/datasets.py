"""What a dataset gives: rows of the tensors it was made of, or labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import shapes
from gradlint.facts.formulas import NON_NEGATIVE
from gradlint.facts.interpret import functions, precision, ranges, shaping
from gradlint.facts.shapes import BATCH, Shape
from gradlint.facts.values import (
    Collection,
    Constant,
    FunctionValue,
    Instance,
    Loader,
    Place,
    Steps,
    Unknown,
    Value,
    constant,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

_PREFIX = "torchvision.datasets."
_LABELLED = frozenset({
    "MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST", "CIFAR10", "CIFAR100", "SVHN", "STL10", "USPS",
    "ImageFolder", "DatasetFolder", "ImageNet", "Imagenette", "Food101", "Flowers102", "OxfordIIITPet", "GTSRB",
    "DTD", "StanfordCars", "FGVCAircraft", "Caltech101", "Caltech256", "EuroSAT", "Country211", "Places365", "SEMEION",
    "FakeData", "PCAM",
})  # fmt: skip
"""Data sets whose second entry is the index of a class."""


def construct(
    it: Interpreter, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value | None:
    """A data set of labelled images; None where the name is none's."""
    kind = name.rpartition(".")[2]
    return Steps("labelled", arguments) if name.startswith(_PREFIX) and kind in _LABELLED else None


def element(it: Interpreter, dataset: Value | None) -> Value | None:
    """One entry of a dataset, or one of the batches that a loader makes of it; None where that cannot be seen."""
    if isinstance(dataset, Loader):
        given = dataset.arguments[0] if dataset.arguments else dataset.keywords.get("dataset")
        entry = element(it, given) if "collate_fn" not in dataset.keywords else None
        whole = constant(dataset.keywords.get("batch_size", Constant(1))) is None
        return entry if whole or not isinstance(entry, Collection) else _batched(entry)
    if isinstance(dataset, Instance) and dataset.kind == "dataset":
        return _own(it, dataset)
    if not isinstance(dataset, Steps):
        return None
    if dataset.kind == "tensors":
        return Collection("tuple", [_entry(it, argument) for argument in dataset.arguments])
    if dataset.kind == "labelled":
        image, label = it.unknown("", "item"), it.unknown("", "item")
        ranges.leaf(label, NON_NEGATIVE, "classes")
        label.shape = Shape(())
        return Collection("tuple", [image, label])
    return None


def _entry(it: Interpreter, whole: Value) -> Unknown:
    """Some rows of a tensor that a dataset was made of."""
    part = it.unknown("", "item")
    ranges.item(whole, part)
    shape = shaping.shape_of(whole)
    part.shape = shapes.without(shape, 0) if shape is not None and shape.sizes else None
    return part


def _batched(entry: Collection) -> Collection:
    """Entries stacked, as a loader does."""
    for part in entry.items:
        if isinstance(part, Unknown):
            shape = part.shape
            part.shape = Shape((None, *shape.sizes), batched=True) if shape is not None and not shape.open else BATCH
    return entry


def _own(it: Interpreter, dataset: Instance) -> Value | None:
    """What `__getitem__` of a dataset of the project returns, if that is a tuple."""
    hit = dataset.cls.find("__getitem__")
    if hit is None or not isinstance(hit[0], FunctionValue):
        return None
    entered = set(it.entered)
    it.quiet += 1
    try:
        with it.taped():
            index = Unknown("index", "parameter", dtype=precision.NUMBER)
            got = functions.enter(it, functions.bound(hit[0], dataset, hit[1]), [index], {}, it.place(None))
    finally:
        it.quiet -= 1
        it.entered = entered
    if not isinstance(got, Collection) or got.kind != "tuple" or got.open:
        return None
    items: list[Value] = []
    for part in got.items:
        item = it.unknown("", "item")
        item.shape = shaping.shape_of(part)
        items.append(item)
    return Collection("tuple", items)
