"""What acts on what: True and False are proven, None means that something unseen stands between."""

from __future__ import annotations

from gradlint.facts.events import Backward, Escape
from gradlint.facts.interpret import modules
from gradlint.facts.roles import loss_like, role
from gradlint.facts.torch_names import PARAMETRIC
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    FunctionValue,
    Instance,
    Layer,
    Manager,
    Mapping,
    Optimizer,
    Parameters,
    Tensor,
    Unknown,
    Value,
    is_module,
)  # fmt: skip


def owners(value: Value | None) -> list[Value] | None:
    """The modules and parameters behind an optimizer, a parameter set or a module; None if any cannot be seen."""
    if value is None:
        return None
    if isinstance(value, Optimizer):
        found = [owners(part) for part in value.parameters]
        return None if not found or None in found else [o for part in found if part is not None for o in part]
    if isinstance(value, Parameters):
        found = [owners(owner) for owner in value.owners]
        return None if None in found else [o for part in found if part is not None for o in part]
    if isinstance(value, Collection):
        found = [owners(item) for item in value.items]
        return None if value.open or None in found else [o for part in found if part is not None for o in part]
    if isinstance(value, Mapping):
        return owners(value.items["params"]) if "params" in value.items else None
    if is_module(value) and not isinstance(value, Choice):
        return [value]
    if isinstance(value, Tensor) and (value.parameter or _data_of_parameter(value)):
        if value.owner is not None and value.owner is not value:
            return owners(value.owner)
        # One of the parameters that branches made: all that it may be.
        either: list[Value] = [root for root in value.roots if isinstance(root, Tensor) and root.parameter]
        return either if value not in value.roots and len(either) == len(value.roots) > 1 else [value]
    return None


def _data_of_parameter(value: Tensor) -> bool:
    """`p.data`: what a parameter stores, by another name."""
    return value.owner is not None and any(cut.kind == "data" for cut in value.cuts)


def has_parameters(module: Value) -> bool:
    """Whether a parameter of a module is in sight: a layer that has some, or one of its own."""
    for part in modules.walk(module):
        if isinstance(part, Layer) and part.kind.startswith("torch.nn.") and part.name in PARAMETRIC:
            return True
        if isinstance(part, Instance) and any(isinstance(v, Tensor) and v.parameter for v in part.attributes.values()):
            return True
    return False


def apart(module: Value, optimizer: Value) -> bool:
    """Whether an optimizer holds nothing of a module; unseen modules are taken not to hold what the code builds beside
    them.
    """
    answer = overlap(module, optimizer)
    given = sources(optimizer) if isinstance(optimizer, Optimizer) else None
    if answer is not None or given is None:
        return answer is False
    for source in given:
        if isinstance(source, Unknown):
            if any(part is module for part in (*source.parts.values(), *source.touched)):
                return False
        elif within(module, source) or within(source, module):
            return False
    return True


def within(part: Value, whole: Value) -> bool:
    """Whether `part` is `whole` or lies in it."""
    return part is whole or _inside(part, whole)


def lies_in(part: Value, whole: Value) -> bool:
    """Whether `part`, seen or not, is kept by a module or by one below it."""
    below = [module for module in modules.walk(whole) if isinstance(module, Instance)]
    return within(part, whole) or any(value is part for module in below for value in module.attributes.values())


def keeps(optimizer: Optimizer, module: Value) -> bool:
    """Whether an optimizer was built over `module`, or over something that `module` lies in."""
    return any(within(module, source) for source in sources(optimizer) or [])


def overlap(left: Value, right: Value) -> bool | None:
    """Whether two things share parameters."""
    if left is right:
        return True
    if isinstance(left, Choice) or isinstance(right, Choice):
        pairs = [overlap(a, b) for a in _options(left) for b in _options(right)]
        return True if True in pairs else (None if None in pairs else False)
    if (
        role(left) == "optimizer"
        and role(right) == "optimizer"
        and (isinstance(left, Unknown) or isinstance(right, Unknown))
    ):
        # Two optimizers that nobody can look into are taken to hold different parameters.
        return False
    a, b = owners(left), owners(right)
    if (a is None or b is None) and isinstance(left, Optimizer) and isinstance(right, Optimizer):
        # Two optimizers built over different things that nobody can look into are taken to hold different parameters.
        a, b = sources(left), sources(right)
    if a is None or b is None:
        return True if _shared(left, right) or _meet(_in_sight(left), _in_sight(right)) else None
    return _meet(a, b)


def _meet(left: list[Value], right: list[Value]) -> bool:
    return any(x is y or _inside(x, y) or _inside(y, x) for x in left for y in right)


def _in_sight(value: Value) -> list[Value]:
    """Those of the modules and parameters behind a value that can be seen."""
    if isinstance(value, Optimizer):
        return [owner for part in value.parameters for owner in _in_sight(part)]
    if isinstance(value, Parameters):
        return [owner for part in value.owners for owner in _in_sight(part)] if value.whole else []
    return owners(value) or []


def _shared(left: Value, right: Value) -> bool:
    """Whether two things come from one and the same thing, seen or not."""
    origins = _origins(right)
    return any(x is y for x in _origins(left) for y in origins)


def _origins(value: Value) -> list[Value]:
    if isinstance(value, Optimizer):
        return [value, *(origin for part in value.parameters for origin in _origins(part))]
    if isinstance(value, Parameters):
        return [origin for owner in value.owners for origin in _origins(owner)]
    if isinstance(value, Collection):
        return [origin for item in value.items for origin in _origins(item)]
    return [value] if isinstance(value, Unknown) or is_module(value) else []


def sources(optimizer: Optimizer) -> list[Value] | None:
    """What an optimizer's parameters were asked of, seen or not; None if that cannot be told."""
    if not all(isinstance(part, Parameters) for part in optimizer.parameters):
        return None
    return [owner for part in optimizer.parameters if isinstance(part, Parameters) for owner in part.owners]


def _options(value: Value) -> tuple[Value, ...]:
    return value.options if isinstance(value, Choice) else (value,)


def _inside(part: Value, whole: Value) -> bool:
    if not isinstance(whole, (Layer, Instance)):
        return False
    if isinstance(part, Tensor):
        return part.owner is not None and modules.holds(whole, part.owner)
    return modules.holds(whole, part)


def clears(target: Value, optimizer: Value) -> bool | None:
    """Whether clearing `target` clears what `optimizer` steps."""
    if isinstance(target, Manager):
        return None
    if isinstance(target, Collection):
        answers = [clears(item, optimizer) for item in target.items]
        return True if True in answers else (None if None in answers or target.open else False)
    return overlap(target, optimizer)


def uncleared(target: Value, optimizer: Value) -> list[Value]:
    """What `optimizer` holds and clearing `target` surely leaves; empty if it clears all, or all of what a branch may
    have put there, or if any of it cannot be seen.
    """
    if isinstance(optimizer, Optimizer) and optimizer.alternatives:
        left = [_left(target, part) for part in optimizer.parameters]
        return [] if not all(left) else [part for parts in left for part in parts]
    return [] if isinstance(optimizer, Optimizer) and not optimizer.protocol else _left(target, optimizer)


def _left(target: Value, whole: Value) -> list[Value]:
    held, cleared = owners(whole), owners(target)
    if held is None or cleared is None:
        return []
    if any(x is not y and _inside(y, x) for x in held for y in cleared):
        return []
    return [x for x in held if not any(x is y or _inside(x, y) for y in cleared)]


def reaches(backward: Backward, optimizer: Value) -> bool | None:
    """Whether a backward accumulates into what `optimizer` steps."""
    loss = backward.loss
    if isinstance(loss, Tensor):
        if not loss.roots:
            return None if loss.mystery else False
        answers = [overlap(root, optimizer) for root in loss.roots]
        if True in answers:
            return True
        return None if None in answers or loss.mystery else False
    return None


def may_fill(event: Escape, optimizer: Value) -> bool:
    """Whether a callee that cannot be seen may leave gradients in what `optimizer` steps."""
    if takes(event, optimizer):
        return True
    return any(
        loss_like(value) or (role(value) == "module" and overlap(value, optimizer) is not False)
        for value in event.values
    )


def takes(event: Escape, value: Value) -> bool:
    """Whether a callee that cannot be seen got hold of `value`, directly or inside an object."""
    return any(holds(given, value) for given in event.values)


def holds(given: Value, value: Value) -> bool:
    """Whether `given` is `value` or keeps it in a container or attribute."""
    return _within(given, value, 0)


def _within(given: Value, value: Value, depth: int) -> bool:
    if given is value:
        return True
    if isinstance(given, Choice):
        return any(_within(option, value, depth) for option in given.options)
    if isinstance(value, Choice):
        return any(_within(given, option, depth) for option in value.options)
    if depth > 2:
        return False
    if isinstance(given, FunctionValue):
        return given.receiver is not None and _within(given.receiver, value, depth + 1)
    if isinstance(given, Collection):
        return any(_within(item, value, depth + 1) for item in given.items)
    if isinstance(given, Mapping):
        return any(_within(item, value, depth + 1) for item in given.items.values())
    if isinstance(given, Instance) and not is_module(given):
        return any(
            _within(item, value, depth + 1) for item in given.attributes.values() if not isinstance(item, Constant)
        )
    if isinstance(given, Manager):
        return any(_within(item, value, depth + 1) for item in (*given.arguments, *given.keywords.values()))
    return False
