"""Names of modules and tensors, as the user knows them."""

from __future__ import annotations

from typing import Any

import torch

from .recorder import Recorder


class Names:
    """Fully qualified names of modules and tensors, as in `named_modules()` of the topmost live module."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        modules = self._live_modules()
        inside = {id(child) for module in modules for child in module._modules.values() if child is not None}
        self.tops: list[torch.nn.Module] = []
        self.of_module: dict[int, tuple[int, str]] = {}
        self.parents: dict[int, tuple[torch.nn.Module, str]] = {}
        self.of_tensor: dict[int, tuple[int, str]] = {}
        self.aliases: dict[int, list[str]] = {}
        self.registered: set[int] = set()
        self._loose: dict[int, int] = {}
        called = {id(call.module) for segment in recorder.segments for call in segment.calls}
        held = {id(t) for state in recorder.optimizers for t in state.parameters()}
        used = called | held
        for module in modules:
            if id(module) in inside:
                continue
            members = list(module.modules())
            relevant = any(id(m) in called for m in members) or any(id(p) in used for p in module.parameters())
            if relevant:
                self.tops.append(module)
        self._name_unregistered()
        self.labels = self._labels()
        for index, top in enumerate(self.tops):
            for name, module in top.named_modules():
                self.of_module.setdefault(id(module), (index, name))
        for index, top in enumerate(self.tops):
            for name, tensor in top.named_parameters(remove_duplicate=False):
                known = self.of_tensor.setdefault(id(tensor), (index, name))
                if id(top) not in self.hidden:
                    self.registered.add(id(tensor))
                if known != (index, name):
                    self.aliases.setdefault(id(tensor), []).append(self.full(index, name))
        self._name_attributes()

    def _live_modules(self) -> list[torch.nn.Module]:
        found: dict[int, torch.nn.Module] = {}
        for reference, _ in list(self.recorder.built.values()):
            module = reference()
            if module is not None:
                found[id(module)] = module
        for segment in self.recorder.segments:
            for call in segment.calls:
                found.setdefault(id(call.module), call.module)
        for module in list(found.values()):
            if "_modules" not in module.__dict__:
                del found[id(module)]
                continue
            for child in module._modules.values():
                if child is not None:
                    found.setdefault(id(child), child)
        return list(found.values())

    def _name_unregistered(self) -> None:
        """Modules kept in plain lists or dicts are tops of their own: find the attribute that holds them."""
        tops = {id(top) for top in self.tops}
        self.hidden: dict[int, tuple[torch.nn.Module, str]] = {}
        for top in self.tops:
            for owner in top.modules():
                for attribute, value in owner.__dict__.items():
                    if attribute.startswith("_") and attribute in ("_modules", "_parameters", "_buffers"):
                        continue
                    for label, item in _items(attribute, value):
                        if isinstance(item, torch.nn.Module) and id(item) in tops and item is not top:
                            self.hidden.setdefault(id(item), (owner, label))

    def _labels(self) -> list[str]:
        """A prefix for each top: its variable name where several networks are about, else nothing."""
        scopes = self.recorder.scopes + self.recorder._frames()
        labels: list[str] = []
        networks = [t for t in self.tops if next(t.parameters(), None) is not None and id(t) not in self.hidden]
        for top in self.tops:
            if len(networks) == 1 and top is networks[0]:
                labels.append("")
                continue
            name = next((n for scope in scopes for n, v in list(scope.items()) if v is top), None)
            if name in (None, "self", "module"):
                name = type(top).__name__
            base, number = name, 2
            while name in labels:
                name = f"{base}_{number}"
                number += 1
            labels.append(str(name))
        return labels

    def _name_attributes(self) -> None:
        """Plain tensor attributes that require grad get their attribute's name."""
        for index, top in enumerate(self.tops):
            for name, module in top.named_modules():
                for attribute, value in module.__dict__.items():
                    if attribute in ("_parameters", "_buffers", "_modules"):
                        continue
                    for label, item in _items(attribute, value):
                        if isinstance(item, torch.Tensor) and item.requires_grad:
                            full = name + "." + label if name else label
                            self.of_tensor.setdefault(id(item), (index, full))

    def full(self, index: int, name: str) -> str:
        top = self.tops[index]
        hidden = self.hidden.get(id(top))
        if hidden is not None:
            owner, label = hidden
            base = self.module(owner)
            parts = [part for part in (base, label, name) if part]
            return ".".join(parts)
        prefix = self.labels[index]
        if not prefix:
            return name
        return prefix + ":" + name if name else prefix

    def module(self, module: Any) -> str:
        known = self.of_module.get(id(module))
        return type(module).__name__ if known is None else self.full(*known)

    def root(self, module: Any) -> int:
        """Index of the network that the module belongs to, be it registered there or only held in a plain list."""
        known = self.of_module.get(id(module))
        for _ in range(len(self.tops)):
            hidden = None if known is None else self.hidden.get(id(self.tops[known[0]]))
            if hidden is None:
                break
            known = self.of_module.get(id(hidden[0]), known)
        return -1 if known is None else known[0]

    def tensor(self, tensor: torch.Tensor) -> str:
        known = self.of_tensor.get(id(tensor))
        if known is not None:
            return self.full(*known)
        number = self._loose.setdefault(id(tensor), len(self._loose))
        return f"<tensor {number}>"


def _items(attribute: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        return [(f"{attribute}[{index}]", item) for index, item in enumerate(value[:256])]
    if isinstance(value, dict):
        return [(f"{attribute}[{key!r}]", item) for key, item in list(value.items())[:256]]
    return [(attribute, value)]
