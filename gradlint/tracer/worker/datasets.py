"""Synthetic stand-ins for torchvision's data sets: same classes, random images of the known shape and label range.

With torchvision installed, a data set class whose constructor fails for want of its files turns into a synthetic
instance of a subclass of itself. Without it, a small `torchvision` offers the data sets and the usual transforms.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import random
import sys
import types
from typing import Any

import torch
import torch.utils.data

from .patches import Patches
from .taming import Taming

SAMPLES = 2048
# name: (height, width, channels, classes)
_SHAPES = {
    "MNIST": (28, 28, 1, 10),
    "FashionMNIST": (28, 28, 1, 10),
    "KMNIST": (28, 28, 1, 10),
    "EMNIST": (28, 28, 1, 47),
    "QMNIST": (28, 28, 1, 10),
    "USPS": (16, 16, 1, 10),
    "CIFAR10": (32, 32, 3, 10),
    "CIFAR100": (32, 32, 3, 100),
    "SVHN": (32, 32, 3, 10),
    "STL10": (96, 96, 3, 10),
    "GTSRB": (32, 32, 3, 43),
    "Flowers102": (64, 64, 3, 102),
    "Food101": (64, 64, 3, 101),
    "OxfordIIITPet": (64, 64, 3, 37),
    "Caltech101": (64, 64, 3, 101),
    "CelebA": (218, 178, 3, 10177),
    "ImageNet": (224, 224, 3, 1000),
    "ImageFolder": (64, 64, 3, 4),
    "FakeData": (224, 224, 3, 10),
    "LSUN": (64, 64, 3, 10),
    "Omniglot": (105, 105, 1, 964),
}


class _Synthetic:
    """Random samples, the same for the same index, through the user's own transforms."""

    _shape: tuple[int, int, int, int]

    def _become(self, transform: Any, target_transform: Any) -> None:
        height, width, channels, classes = self._shape
        generator = torch.Generator().manual_seed(0)
        size = (SAMPLES, height, width) if channels == 1 else (SAMPLES, height, width, channels)
        if SAMPLES * height * width * channels <= 1 << 26:
            pixels: Any = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
        else:
            pixels = None
        labels = torch.randint(0, classes, (SAMPLES,), generator=generator)
        self._pixels = pixels
        self._labels = labels.tolist()
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = None
        self.classes = [str(index) for index in range(classes)]
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}
        self._set("data", pixels if channels == 1 else (pixels.numpy() if pixels is not None else None))
        self._set("targets", labels if channels == 1 else self._labels)
        self._set("labels", labels.numpy())
        self._set("samples", [("", label) for label in self._labels])
        self._set("imgs", [("", label) for label in self._labels])

    def _set(self, name: str, value: Any) -> None:
        try:
            setattr(self, name, value)
        except AttributeError:
            return

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        if index >= SAMPLES:
            raise IndexError(index)
        height, width, channels, _ = self._shape
        if self._pixels is not None:
            pixels = self._pixels[index]
        else:
            size = (height, width) if channels == 1 else (height, width, channels)
            pixels = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
        image: Any = _picture(pixels)
        label: Any = self._labels[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label


def _picture(pixels: torch.Tensor) -> Any:
    try:
        from PIL import Image  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return pixels
    return Image.fromarray(pixels.numpy())


class _Downloaded(Exception):
    """The data set would have to be downloaded."""


class _Rescue(importlib.abc.MetaPathFinder):
    """Finds torchvision.datasets as usual, and looks after its classes once it is loaded."""

    def __init__(self, patches: Patches, taming: Taming) -> None:
        self.patches = patches
        self.taming = taming

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != "torchvision.datasets":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            rescue_torchvision(module, self.patches, self.taming)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def watch_for_torchvision(patches: Patches, taming: Taming) -> None:
    """Make torchvision's data sets failure-proof when the script imports them."""
    sys.meta_path.insert(0, _Rescue(patches, taming))


def rescue_torchvision(module: Any, patches: Patches, taming: Taming) -> None:
    """Make failing constructors of `torchvision.datasets` synthetic."""
    for name, shape in _SHAPES.items():
        kind = getattr(module, name, None)
        if isinstance(kind, type) and "FakeData" not in name:
            _rescue(patches, kind, shape, taming)


def _rescue(patches: Patches, kind: Any, shape: tuple[int, int, int, int], taming: Taming) -> None:
    original = kind.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        wanted = dict(kwargs)
        wanted.pop("download", None)
        try:
            original(self, *args, **wanted)
        except (RuntimeError, OSError, ImportError) as problem:
            if type(self) is not kind:
                raise
            subclass = type(kind.__name__, (_Synthetic, kind), {"_shape": shape})
            self.__class__ = subclass
            self._become(kwargs.get("transform"), kwargs.get("target_transform"))
            _told(taming, kind.__name__, str(problem))

    patches.set(kind, "__init__", init)


def _told(taming: Taming, name: str, _reason: str) -> None:
    message = f"the data set {name} is not on disk: random images of its shape and labels were used"
    taming.note("synthetic-dataset", message, ["data", "values"])


def imitate_torchvision(taming: Taming) -> None:
    """Put a small `torchvision` (data sets, transforms) into sys.modules for an interpreter that has none."""
    taming.note("stubbed-module", "torchvision is not installed: a small stand-in was used", ["data", "values"])
    root, datasets, transforms, utils = (
        types.ModuleType(name)
        for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.utils")
    )
    for name, shape in _SHAPES.items():
        setattr(datasets, name, _imitation(name, shape, taming))
    transforms.__getattr__ = _transform  # type: ignore[method-assign]
    transforms.Compose, transforms.ToTensor, transforms.Normalize = Compose, ToTensor, Normalize  # type: ignore[attr-defined]
    transforms.Lambda = lambda function: function  # type: ignore[attr-defined]
    transforms.PILToTensor = ToTensor  # type: ignore[attr-defined]
    transforms.Resize = transforms.RandomCrop = transforms.CenterCrop = Resize  # type: ignore[attr-defined]
    transforms.RandomResizedCrop = Resize  # type: ignore[attr-defined]
    utils.save_image = lambda *args, **kwargs: None  # type: ignore[attr-defined]
    utils.make_grid = lambda tensor, *args, **kwargs: tensor  # type: ignore[attr-defined]
    root.__path__ = []
    root.__version__ = "0.0"  # type: ignore[attr-defined]
    for module in (root, datasets, transforms, utils):
        sys.modules[module.__name__] = module
        if module is not root:
            setattr(root, module.__name__.split(".")[1], module)


def _imitation(name: str, shape: tuple[int, int, int, int], taming: Taming) -> type:
    def init(
        self: Any, root: Any = None, *args: Any, transform: Any = None, target_transform: Any = None, **kwargs: Any
    ) -> None:
        size = kwargs.get("image_size")
        if size is not None:
            self._shape = (size[1], size[2], size[0], kwargs.get("num_classes", shape[3]))
        callables = [value for value in args if callable(value)]
        self._become(transform or (callables[0] if callables else None), target_transform)
        _told(taming, name, "")

    return type(name, (_Synthetic, torch.utils.data.Dataset), {"_shape": shape, "__init__": init})


class Compose:
    """Transforms one after another."""

    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


def _tensor(image: Any) -> torch.Tensor:
    if isinstance(image, torch.Tensor):
        return image
    width, height = image.size
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(height, width) if image.mode == "L" else pixels.view(height, width, -1)


class ToTensor:
    """(height, width[, channels]) bytes to (channels, height, width) floats in [0, 1]."""

    def __call__(self, image: Any) -> torch.Tensor:
        pixels = _tensor(image)
        if pixels.is_floating_point():
            return pixels
        pixels = pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)
        return pixels.float().div(255).contiguous()


class Normalize:
    """(x − mean) / std by channel."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        self.mean = torch.as_tensor(mean, dtype=torch.float32).view(-1, 1, 1)
        self.std = torch.as_tensor(std, dtype=torch.float32).view(-1, 1, 1)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return (image - self.mean) / self.std


class Resize:
    """Nearest neighbours to a fixed size; stands for crops as well."""

    def __init__(self, size: Any, *args: Any, **kwargs: Any) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def __call__(self, image: Any) -> Any:
        pixels = _tensor(image)
        channels_first = pixels.is_floating_point()
        height, width = pixels.shape[-2:] if channels_first else pixels.shape[:2]
        rows = torch.arange(self.size[0]) * height // self.size[0]
        columns = torch.arange(self.size[1]) * width // self.size[1]
        return pixels[..., rows, :][..., columns] if channels_first else pixels[rows][:, columns]


def _transform(name: str) -> Any:
    if name.startswith("__") or not name[:1].isupper():
        raise AttributeError(name)

    class Unchanged:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.keep = random.random

        def __call__(self, image: Any) -> Any:
            return image

    Unchanged.__name__ = name
    return Unchanged
