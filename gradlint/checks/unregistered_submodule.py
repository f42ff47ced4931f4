"""GL203: modules in a plain container of a Module, which registers only what is assigned to it directly."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.interpret.modules import walk
from gradlint.facts.model import AttributeWrite, ModuleDef, TrainingFacts
from gradlint.facts.registration import has_parameters, in_optimizer, modules_in
from gradlint.facts.values import Collection, Instance, Layer, Mapping, Value
from gradlint.facts.values import options as alternatives
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every list, tuple, set and dict that a module of the file keeps."""
    for definition in facts.modules:
        writes: dict[str, AttributeWrite] = {}
        for write in facts.writes:
            if write.owner is definition.instance and isinstance(write.value, (Collection, Mapping)):
                writes.setdefault(write.name, write)
        for write in writes.values():
            finding = _judge(facts, definition, write)
            if finding is not None:
                yield finding


def _judge(facts: TrainingFacts, definition: ModuleDef, write: AttributeWrite) -> Finding | None:
    instance, container = definition.instance, write.value
    hidden = [module for module in modules_in(container) if has_parameters(module)]
    if not hidden or instance.attributes.get(write.name) is not container:
        return None
    if write.name not in definition.mentions and write.name not in definition.reads:
        return None
    if _gathers(instance) or any(_registered(instance, module) or in_optimizer(facts, module) for module in hidden):
        return None
    kind = container.kind if isinstance(container, Collection) else "dict"
    open_ended = isinstance(container, (Collection, Mapping)) and container.open
    values: dict[str, str | int | float] = {
        "attribute": write.name, "count": "several" if open_ended else len(hidden), "container": kind,
        "module": instance.name,
    }  # fmt: skip
    return Finding("unregistered-submodule", write.place.path, Range(*write.place.at), values)


def _registered(instance: Instance, module: Value) -> bool:
    return any(part is module for part in walk(instance))


def _gathers(instance: Instance) -> bool:
    """Whether it keeps a ParameterList, into which the parameters of such modules may have been put."""
    kept = [option for value in instance.attributes.values() for option in alternatives(value)]
    return any(isinstance(option, Layer) and option.name in ("ParameterList", "ParameterDict") for option in kept)
