"""GL222: a layer with parameters that a module's constructor makes and that nothing in the package reads."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.model import ModuleDef, TrainingFacts
from gradlint.facts.registration import has_parameters
from gradlint.facts.values import Layer, is_module
from gradlint.options import Options

_BY_NAME = frozenset({
    "getattr", "children", "named_children", "modules", "named_modules", "_modules", "get_submodule", "__dict__",
    "vars", "attrgetter", "__getattr__", "get_parameter",
})  # fmt: skip
"""Ways to reach a layer without writing its name."""


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every module class with a forward of its own whose bases are all known."""
    if _BY_NAME & facts.mentions:
        return
    for definition in facts.modules:
        if not _closed(definition) or _BY_NAME & definition.mentions:
            continue
        mentioned = facts.mentions | definition.mentions
        for name, place in definition.instance.assigned.items():
            layer = definition.instance.attributes.get(name)
            if layer is None or not is_module(layer) or name in mentioned or not has_parameters(layer):
                continue
            shared = [
                other for other, value in definition.instance.attributes.items() if value is layer and other != name
            ]
            if shared or place.path != facts.path or facts.beside(definition.cls.name, name):
                continue
            values: dict[str, str | int | float] = {
                "attribute": name,
                "layer": layer.name if isinstance(layer, Layer) else getattr(layer, "name", "module"),
                "module": definition.instance.name, "parameters": "parameters",
            }  # fmt: skip
            yield Finding("unused-layer", place.path, Range(*place.at), values)


def _closed(definition: ModuleDef) -> bool:
    cls = definition.cls
    plain = all(name.endswith((".Module", ".LightningModule")) for name in cls.externals())
    used = any(is_module(definition.instance.attributes.get(name)) for name in definition.reads)
    return plain and used and not cls.opaque and definition.output is not None
