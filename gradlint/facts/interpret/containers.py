"""Lists, dicts and strings of the script: what their methods do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradlint.facts.interpret import calls
from gradlint.facts.merging import merge
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    Layer,
    Mapping,
    Parameters,
    Place,
    Unknown,
    Value,
    constant,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def method(
    it: Interpreter, receiver: Value, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    """A method of a list, dict, set or constant."""
    if isinstance(receiver, Collection):
        return _list(it, receiver, name, arguments)
    if isinstance(receiver, Mapping):
        return _dict(it, receiver, name, arguments, keywords, place)
    if isinstance(receiver, Constant):
        text = receiver.value
        if isinstance(text, str) and text != "…" and not keywords:
            return _text(it, text, receiver.default, name, arguments)
        return it.unknown(name)
    return it.unknown(name)


_TEXT = frozenset({"lower", "upper", "strip", "find", "startswith", "endswith", "replace", "rfind", "count"})


def formatted(text: Value, given: Value) -> Constant | None:
    """`"layer%d" % i` with known values."""
    values = given.items if isinstance(given, Collection) and given.kind == "tuple" else [given]
    if not isinstance(text, Constant) or not isinstance(text.value, str):
        return None
    known = tuple(value.value for value in values if isinstance(value, Constant) and value.value != "…")
    if len(known) != len(values) or text.value == "…":
        return None
    try:
        return Constant(text.value % known, text.default)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(it: Interpreter, text: str, default: bool, name: str, arguments: list[Value]) -> Value:
    """A method of a string whose arguments are known."""
    given = [constant(argument) for argument in arguments]
    if name == "format" and all(isinstance(value, (str, int, float)) and value != "…" for value in given):
        try:
            return Constant(text.format(*given), default)
        except (IndexError, KeyError, ValueError, AttributeError):
            return it.unknown(name)
    if name not in _TEXT or not all(isinstance(argument, str) and argument != "…" for argument in given):
        return it.unknown(name)
    try:
        found = getattr(text, name)(*given)
    except TypeError:
        return it.unknown(name)
    return Constant(found, default or any(isinstance(a, Constant) and a.default for a in arguments))


def joined(left: Value, right: Value) -> Value | None:
    """`left + right` of lists and parameter sets; a set in a list stands for the parameters in it."""
    if isinstance(left, Collection) and isinstance(right, Collection):
        return Collection(left.kind, [*left.items, *right.items], left.open or right.open)
    if isinstance(left, Parameters) and isinstance(right, Parameters):
        return Parameters(
            (*left.owners, *right.owners), left.whole and right.whole, filtered=left.filtered or right.filtered
        )
    if isinstance(left, Collection) and isinstance(right, Parameters):
        kept = Parameters(right.owners, right.whole, filtered=right.filtered)
        return Collection(left.kind, [*left.items, kept], left.open) if left.items or left.open else kept
    if isinstance(left, Parameters) and isinstance(right, Collection):
        return Collection("list", [left, *right.items], right.open) if right.items or right.open else left
    return None


def _list(it: Interpreter, receiver: Collection, name: str, arguments: list[Value]) -> Value:
    if name in ("append", "extend", "add", "insert") and it.repeats and it.births.get(id(receiver)) != it.repeats[-1]:
        # Filled in a loop that began after it was made: how often nobody knows.
        receiver.open = True
        if len(receiver.items) > 64:
            return Constant(None)
    if name in ("append", "add", "insert", "extend") and any(leads_to(given, receiver) for given in arguments):
        # A list that a branch may have put into itself.
        receiver.open = True
        return Constant(None)
    if name in ("append", "add") and arguments:
        receiver.items.append(arguments[0])
        return Constant(None)
    if name == "extend" and arguments:
        given = arguments[0]
        if isinstance(given, Collection):
            receiver.items.extend(given.items)
            receiver.open = receiver.open or given.open
        elif isinstance(given, Layer):
            receiver.items.extend(given.children)
            receiver.open = receiver.open or not given.complete
        elif isinstance(given, Parameters):
            receiver.items.append(given)
        else:
            receiver.items.append(given)
            receiver.open = True
        return Constant(None)
    if name == "insert" and len(arguments) == 2:
        index = constant(arguments[0])
        if isinstance(index, int):
            receiver.items.insert(index, arguments[1])
        else:
            receiver.open = True
        return Constant(None)
    if name == "pop" and receiver.items:
        index = constant(arguments[0]) if arguments else -1
        if (
            isinstance(index, int)
            and not receiver.open
            and -len(receiver.items) <= index < len(receiver.items)
            and not it.repeats
        ):
            return receiver.items.pop(index)
        return merge(receiver.items)
    if name == "clear":
        receiver.items.clear()
    if name == "copy":
        return Collection(receiver.kind, list(receiver.items), receiver.open)
    return it.unknown(name)


def leads_to(value: Value, container: Value) -> bool:
    """Whether a value is a container, or holds it on some level."""
    if isinstance(value, Collection):
        held: Iterable[Value] = value.items
    elif isinstance(value, Mapping):
        held = value.items.values()
    elif isinstance(value, Choice):
        held = value.options
    else:
        return False
    return value is container or any(leads_to(part, container) for part in held)


def _dict(
    it: Interpreter, receiver: Mapping, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    key = constant(arguments[0]) if arguments else None
    if name == "add_argument":
        return _argument(it, receiver, arguments, keywords)
    if name in ("add_argument_group", "add_mutually_exclusive_group", "parse_args", "add_subparsers", "add_parser"):
        return receiver
    if name == "parse_known_args":
        return Collection("tuple", [receiver, Collection("list", [], open=True)])
    if name == "set_defaults":
        for option, value in keywords.items():
            receiver.items[option] = Constant(constant(value), default=True) if isinstance(value, Constant) else value
        return Constant(None)
    if name in ("get", "pop", "setdefault") and arguments:
        if key in receiver.items:
            return receiver.items[key]
        return arguments[1] if len(arguments) > 1 and not receiver.open else it.unknown(str(key), "attribute")
    if name == "update":
        given = arguments[0] if arguments else Mapping(dict(keywords))
        if isinstance(given, Mapping):
            receiver.items.update(given.items)
        else:
            receiver.open = True
        return Constant(None)
    if name == "clear":
        receiver.items.clear()
        return Constant(None)
    if name == "copy":
        return Mapping(dict(receiver.items), receiver.open, receiver.default)
    if name in ("items", "values", "keys"):
        return view(receiver, name)
    return calls.unseen(it, arguments, keywords, place, name)


def _key(key: object) -> Value:
    if isinstance(key, Value):
        return key
    return Constant(key) if isinstance(key, (str, int, float, bool)) else Unknown("key")


def view(receiver: Mapping | Layer, name: str) -> Value:
    """`d.items()`, `d.values()`, `d.keys()`."""
    if isinstance(receiver, Layer):
        pairs: list[tuple[object, Value]] = list(zip(receiver.names, receiver.children, strict=True))
        is_open = not receiver.complete
    else:
        pairs, is_open = list(receiver.items.items()), receiver.open
    keys = [_key(key) for key, _ in pairs]
    values = [value for _, value in pairs]
    if name == "keys":
        return Collection("list", keys, is_open)
    if name == "items":
        return Collection("list", [Collection("tuple", [k, v]) for k, v in zip(keys, values, strict=True)], is_open)
    return Collection("list", values, is_open)


def _argument(it: Interpreter, parser: Mapping, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """`add_argument("--lr", default=0.1)`: an attribute of what parse_args returns; its default is a setting."""
    flags = [value for value in (constant(a) for a in arguments) if isinstance(value, str)]
    name = constant(keywords.get("dest"))
    if not isinstance(name, str):
        long = [flag for flag in flags if flag.startswith("--")] or flags
        name = long[0].lstrip("-").replace("-", "_") if long else ""
    default = keywords.get("default")
    action = constant(keywords.get("action"))
    if isinstance(default, Constant) and default.value is not None:
        value: Value = Constant(_converted(default.value, keywords.get("type")), default=True, place=default.place)
    elif action in ("store_true", "store_false") and default is None:
        value = Constant(action == "store_false", default=True)
    else:
        value = Unknown(name, "attribute")
    if name:
        parser.items[name] = value
    return value


def _converted(value: bool | int | float | str, kind: Value | None) -> bool | int | float | str:
    if isinstance(value, str) and kind is not None and getattr(kind, "name", "") in ("float", "int"):
        try:
            return float(value) if getattr(kind, "name", "") == "float" else int(value)
        except ValueError:
            return value
    return value
