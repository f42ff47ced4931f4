"""`@record`: what `dataclass(slots=True, eq=False, repr=False)` makes, at a third of the cost.

The model has well over a hundred kinds of nodes, values and events, and making them is most of what its import costs.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda made: made


T = TypeVar("T")


@dataclass_transform(eq_default=False, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Give a class slots and a constructor for what it annotates, after what its bases annotate."""
    space = dict(cls.__dict__)
    own = {name: space.pop(name, MISSING) for name in space.get("__annotations__", {})}
    inherited = [getattr(base, "__record__", {}) for base in reversed(cls.__mro__[1:])]
    every: dict[str, Any] = {name: default for fields in (*inherited, own) for name, default in fields.items()}
    for name in ("__dict__", "__weakref__"):
        space.pop(name, None)
    space.update(__slots__=tuple(own), __record__=every, __init__=_init(every))
    made: type[T] = type(cls)(cls.__name__, cls.__bases__, space)  # type: ignore[misc]
    made.__qualname__ = cls.__qualname__
    return made


def _init(fields: dict[str, Any]) -> Any:
    """The constructor, as it would be written out."""
    names: dict[str, Any] = {"missing": MISSING}
    parameters: list[str] = []
    body = ["pass"]
    for name, default in fields.items():
        given, value = True, name
        if isinstance(default, Field):
            given = default.init
            if default.default_factory is not MISSING:
                names[f"make_{name}"] = default.default_factory
                value = f"make_{name}() if {name} is missing else {name}" if given else f"make_{name}()"
            default = default.default
        names[f"default_{name}"] = default
        if given:
            parameters.append(f"{name}=default_{name}" if default is not MISSING or value != name else name)
        elif value == name:
            value = f"default_{name}"
        body.append(f"self.{name} = {value}")
    exec(f"def __init__(self, {', '.join(parameters)}):\n " + "\n ".join(body), names)
    return names["__init__"]


def fields_of(cls: type) -> tuple[str, ...]:
    """The names of a record's fields, in the order of its constructor."""
    return tuple(cls.__record__)  # type: ignore[attr-defined]


def replace(value: T, /, **changes: Any) -> T:
    """A copy of a record with some fields changed."""
    fields = type(value).__record__.items()  # type: ignore[attr-defined]
    given = {name: getattr(value, name) for name, default in fields if getattr(default, "init", True)}
    return type(value)(**{**given, **changes})
