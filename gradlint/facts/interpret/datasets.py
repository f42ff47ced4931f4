"""What a dataset gives: rows of the tensors it was made of, or labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.formulas import NON_NEGATIVE
from gradlint.facts.interpret import ranges
from gradlint.facts.values import Collection, Loader, Place, Steps, Unknown, Value

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
    """One entry of a dataset, or of the batches that a loader makes of it; None where that cannot be seen."""
    if isinstance(dataset, Loader):
        given = dataset.arguments[0] if dataset.arguments else dataset.keywords.get("dataset")
        return element(it, given) if "collate_fn" not in dataset.keywords else None
    if not isinstance(dataset, Steps):
        return None
    if dataset.kind == "tensors":
        return Collection("tuple", [_entry(it, argument) for argument in dataset.arguments])
    if dataset.kind == "labelled":
        image, label = it.unknown("", "item"), it.unknown("", "item")
        ranges.leaf(label, NON_NEGATIVE, "classes")
        return Collection("tuple", [image, label])
    return None


def _entry(it: Interpreter, whole: Value) -> Unknown:
    """Some rows of a tensor that a dataset was made of."""
    part = it.unknown("", "item")
    ranges.item(whole, part)
    return part
