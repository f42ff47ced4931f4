"""GL204: a tensor meant to be learned that is an attribute of a Module, but not one of its parameters."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.interpret.tensors import parts
from gradlint.facts.model import AttributeWrite, TrainingFacts
from gradlint.facts.registration import in_optimizer
from gradlint.facts.values import Collection, Instance, Layer, Mapping, Tensor, Value
from gradlint.facts.values import options as alternatives
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every attribute that a module of the file sets outside its forward."""
    for definition in facts.modules:
        for write in facts.writes:
            if write.owner is not definition.instance or write.function.endswith(".forward"):
                continue
            reason = _reason(facts, definition.instance, write)
            if reason:
                values = {"attribute": write.name, "module": definition.instance.name, "reason": reason}
                yield Finding("unregistered-parameter", write.place.path, Range(*write.place.at), values)


def _reason(facts: TrainingFacts, instance: Instance, write: AttributeWrite) -> str:
    value = write.value
    if isinstance(value, (Collection, Mapping)):
        kept = [part for part in parts([value]) if isinstance(part, Tensor) and part.parameter]
        if not kept or any(part.mystery or _known(facts, instance, part) for part in kept):
            return ""
        return "a Parameter inside a plain container is not registered"
    if not isinstance(value, Tensor) or not value.roots:
        return ""
    if value.attribute == "leaf" and value.owner is value and not in_optimizer(facts, value):
        return "it is a plain tensor, no nn.Parameter"
    if not value.parameter and all(_nobodys(facts, instance, root) for root in value.roots):
        return "it is the result of an operation on a Parameter"
    return ""


def _known(facts: TrainingFacts, instance: Instance, parameter: Tensor) -> bool:
    return parameter.owner is not None or _registered(instance, parameter) or in_optimizer(facts, parameter)


def _nobodys(facts: TrainingFacts, instance: Instance, root: Value) -> bool:
    return isinstance(root, Tensor) and root.parameter and not _known(facts, instance, root)


def _registered(instance: Instance, parameter: Tensor) -> bool:
    """Whether it is an attribute, or in a ParameterList or ParameterDict that is one."""
    for value in instance.attributes.values():
        for option in alternatives(value):
            listed = parts([*option.arguments, *option.children]) if isinstance(option, Layer) else []
            if option is parameter or any(part is parameter for part in listed):
                return True
    return False
