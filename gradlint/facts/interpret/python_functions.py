"""Functions of Python's own library and of those that hand data around."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.interpret import calls, conditions, iterators, library, modules, tensors, training_functions
from gradlint.facts.interpret.method_call import Arguments, Handler, Keywords
from gradlint.facts.merging import merge
from gradlint.facts.roles import last_name
from gradlint.facts.values import (
    Choice,
    ClassValue,
    Collection,
    Constant,
    External,
    FunctionValue,
    Instance,
    Layer,
    Loader,
    Mapping,
    Parameters,
    Partial,
    Place,
    Snapshot,
    Steps,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
    number,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def _isinstance(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if len(arguments) == 2:
        answer = conditions.is_instance(it, arguments[0], arguments[1])
        if answer is not None:
            return Constant(answer)
    return it.unknown("isinstance")


def _length(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    from gradlint.facts.interpret.loops import elements

    given = arguments[0] if arguments else Unknown()
    known = elements(it, given) if isinstance(given, (Collection, Layer, Mapping)) else None
    return Constant(len(known), default=bool(it.repeats)) if known is not None else it.unknown("len", "length")


def _steps(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Steps(last_name(name), arguments)


def _through(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """tqdm and friends: what goes in comes out."""
    return arguments[0] if arguments else keywords.get("iterable", it.unknown(last_name(name), "call"))


def _next(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    from gradlint.facts.interpret.loops import any_element

    found = any_element(it, arguments[0] if arguments else None)
    calls.record(it, name, arguments, keywords, found, place)
    return found


def _sequence(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    from gradlint.facts.interpret.loops import any_element, elements

    if not arguments:
        made = Collection(name if name in ("list", "tuple", "set") else "list", [], place=place)
        if it.repeats:
            it.births[id(made)] = it.repeats[-1]
            it.kept.append(made)
        return made
    given = arguments[0]
    if isinstance(given, Parameters):
        iterators.exhaust(it, given, place, name)
        return Parameters(given.owners, given.whole, False, given.named, filtered=given.filtered)
    known = elements(it, given)
    if known is None:
        return given if isinstance(given, Unknown) else Collection("list", [], True, place, any_element(it, given))
    return Collection("list", known[::-1] if name == "reversed" else known, False, place)


def _filter(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[-1] if arguments else Unknown()
    if isinstance(given, Parameters):
        return Parameters(given.owners, given.whole, True, given.named, sources=(given,), filtered=name == "filter")
    if name == "map" and isinstance(given, Collection) and arguments:
        results = [calls.apply(it, arguments[0], [item], {}, place, "map") for item in given.items]
        return Collection("list", results, given.open)
    if name == "map" and len(arguments) == 2 and isinstance(arguments[0], FunctionValue):
        from gradlint.facts.interpret.loops import any_element

        element = calls.apply(it, arguments[0], [any_element(it, given)], {}, place, "map")
        return Collection("list", [element], True, place, element)
    return (
        Collection("list", list(given.items), True)
        if isinstance(given, Collection)
        else it.unknown("filter", "call", (given,))
    )


def _chain(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    flat = arguments
    if name.endswith("from_iterable") and arguments and isinstance(arguments[0], Collection):
        flat = arguments[0].items
    sets = [value for value in flat if isinstance(value, Parameters)]
    if sets and len(sets) == len(flat):
        return Parameters(
            tuple(owner for s in sets for owner in s.owners), all(s.whole for s in sets), True, sources=tuple(sets)
        )
    items = [item for value in flat if isinstance(value, Collection) for item in value.items]
    return Collection("list", items or list(flat), True)


def _sum(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    inside = tensors.parts(arguments)
    if any(isinstance(part, Tensor) for part in inside):
        result = tensors.derive(it, arguments, place)
        losses_inside = [part.loss for part in inside if isinstance(part, Tensor) and part.loss is not None]
        result.loss = losses_inside[0] if losses_inside else None
        return result
    numbers = list(arguments[0].items if arguments and isinstance(arguments[0], Collection) else arguments)
    if len(numbers) == 1 or not all(isinstance(part, Constant) for part in numbers):
        return it.unknown(name, "length" if any(map(_is_length, numbers)) else "value", tuple(inside))
    values = [part.value for part in numbers if isinstance(part, Constant) and isinstance(part.value, (int, float))]
    if len(values) != len(numbers) or not values:
        return it.unknown(name)
    default = any(isinstance(part, Constant) and part.default for part in numbers)
    table: dict[str, Callable[[list[int | float]], int | float]] = {"max": max, "min": min, "sum": sum}
    return Constant(table[name](values), default)


def _is_length(value: Value) -> bool:
    """Whether a number was computed of `len(…)` of something unseen."""
    return isinstance(value, Unknown) and value.origin == "length"


def _number(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[0] if arguments else Constant(0)
    if isinstance(given, Constant) and isinstance(given.value, (int, float, str)):
        try:
            return Constant(
                {"float": float, "int": int, "str": str, "bool": bool}[name](given.value), given.default, given.place
            )
        except (ValueError, OverflowError):
            return it.unknown(name)
    if _is_length(given):
        return it.unknown(name, "length")
    if isinstance(given, (Tensor, Unknown)) and name in ("float", "int"):
        return tensors.cut(it, given, "float", place)
    return it.unknown(name)


def _copy(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[0] if arguments else Unknown()
    deep = name.endswith("deepcopy")
    if isinstance(given, Choice):
        return merge([_copy(it, name, [option], keywords, place) for option in given.options])
    if isinstance(given, Snapshot):
        return Snapshot(given.module, place, copied=deep)
    made: Value = given
    if deep and isinstance(given, (Layer, Instance)):
        made = modules.duplicate(given, {})
    elif isinstance(given, Layer):
        children, labels = list(given.children), list(given.names)
        made = Layer(given.kind, given.arguments, given.keywords, given.place, children, labels, given.complete)
    elif isinstance(given, Instance):
        made = Instance(given.cls, given.kind, dict(given.attributes), given.place, given.assumed)
    elif isinstance(given, Unknown):
        made = Unknown(given.hint, given.origin, given.uses)
    elif isinstance(given, Mapping):
        kept = {key: _copy(it, name, [item], {}, place) if deep else item for key, item in given.items.items()}
        made = Mapping(kept, given.open, given.default)
    elif isinstance(given, Collection):
        items = [_copy(it, name, [item], {}, place) if deep else item for item in given.items]
        made = Collection(given.kind, items, given.open, given.place, given.element)
    if made is not given:
        it.made(made)
    return made


def _average(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`AveragedModel(model)`: a copy that an average of the weights is kept in."""
    given = arguments[0] if arguments else keywords.get("model")
    if given is None or not is_module(given) or isinstance(given, Choice):
        return it.unknown("model", "call")
    averaged = Layer(name, [given], keywords, place, [modules.duplicate(given, {})], ["module"])
    it.made(averaged)
    return averaged


def _partial(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Partial(arguments[0], arguments[1:], dict(keywords)) if arguments else it.unknown(name)


def _getattr(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    from gradlint.facts import code
    from gradlint.facts.interpret import attributes

    if len(arguments) < 2:
        return it.unknown(name)
    key = constant(arguments[1])
    if isinstance(key, str) and key != "…":
        if isinstance(arguments[0], Instance) and len(arguments) == 3 and key not in arguments[0].attributes:
            hit = arguments[0].cls.find(key)
            if hit is None:
                return arguments[2]
        return attributes.read(it, arguments[0], key, code.Attribute(code.Name("object", None), key, None))
    if isinstance(arguments[0], External) and arguments[0].name in training_functions._BASES:
        return External(training_functions._BASES[arguments[0].name])
    if isinstance(arguments[0], External) and arguments[0].name == "torch.nn":
        return Unknown("module_class", "call")
    return it.unknown("attribute", "item" if isinstance(arguments[0], Instance) else "attribute")


def _setattr(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if len(arguments) == 3 and isinstance(arguments[0], Instance):
        key = constant(arguments[1])
        label = key if isinstance(key, str) and key != "…" else f"?{len(arguments[0].attributes)}"
        it.attribute_written(arguments[0], label, arguments[2], place.at)
        it.journal.write(arguments[0].attributes, label, arguments[2])
    elif len(arguments) == 3 and is_module(arguments[2]):
        calls.record(it, name, arguments, keywords, Constant(None), place)
    return Constant(None)


def _mapping(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if arguments and isinstance(arguments[0], Snapshot):
        return Snapshot(arguments[0].module, place, copied=arguments[0].copied)
    from gradlint.facts.interpret.loops import parameter_of

    made = Mapping({key: value for key, value in keywords.items() if key != "**"}, open="**" in keywords)
    given = arguments[0] if arguments else None
    if isinstance(given, Mapping):
        made.items = {**given.items, **made.items}
        made.open = made.open or given.open
    elif isinstance(given, Collection):
        for item in given.items:
            if isinstance(item, Collection) and len(item.items) == 2 and constant(item.items[0]) is not None:
                made.items[constant(item.items[0])] = item.items[1]
            elif isinstance(item, Collection) and len(item.items) == 2:
                made.open, made.items[f"?{len(made.items)}"] = True, item.items[1]
            else:
                made.open = True
        made.open = made.open or given.open
    elif isinstance(given, Parameters) and given.named:
        iterators.exhaust(it, given, place, name)
        made.open, made.items["?0"] = True, parameter_of(Parameters(given.owners, given.whole))
    elif given is not None and not isinstance(given, External):
        made.open = True
    return made


def _parser(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Mapping({}, open=True, default=True)


def _field(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if "default" in keywords:
        return keywords["default"]
    factory = keywords.get("default_factory")
    return calls.apply(it, factory, [], {}, place, "factory") if factory is not None else Unknown("field", "field")


def _super_init(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if arguments and arguments[0] is it.frame.receiver:
        it.frame.ready = True
    return Constant(None)


def _dataset(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Steps("tensors", arguments)


def _split(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`random_split(dataset, sizes)`: parts that give what the whole gives."""
    whole = arguments[0] if arguments else keywords.get("dataset", it.unknown(name, "value"))
    return Collection("list", [], open=True, element=whole)


def _loader(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Loader(arguments, keywords, place)


def _unwrap(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`multiply_no_nan`-like helpers with one model argument that come back as that model."""
    return arguments[0] if arguments else it.unknown(name)


def _type(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`type(x)` with one argument."""
    given = arguments[0] if len(arguments) == 1 else None
    if isinstance(given, Layer):
        return External(given.kind)
    return given.cls if isinstance(given, Instance) else it.unknown("type")


def _arithmetic(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """A function of `math`, or numpy's of the same name, on known numbers."""
    given = [number(argument) for argument in arguments]
    function = getattr(math, name.rpartition(".")[2])
    known = [value for value in given if value is not None]
    if len(arguments) == 1 and _is_length(arguments[0]) and function in (math.ceil, math.floor):
        return it.unknown(name, "length")
    if not arguments or keywords or len(known) != len(given):
        return library.unknown_function(it, name, arguments, keywords, place, name)
    try:
        found = function(*known)
    except (ArithmeticError, ValueError, TypeError):
        return it.unknown(name)
    return Constant(found, any(isinstance(argument, Constant) and argument.default for argument in arguments))


def _named_tuple(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`namedtuple("Batch", ["x", "y"])` with known fields is a class of the project."""
    given = (*arguments, *(keywords[key] for key in ("typename", "field_names") if key in keywords))
    called, fields = (given[0], given[1]) if len(given) == 2 else (None, None)
    if isinstance(fields, Constant) and isinstance(fields.value, str):
        names: list[object] = [*fields.value.replace(",", " ").split()]
    else:
        names = [constant(item) for item in fields.items] if isinstance(fields, Collection) and not fields.open else []
    if not names or "…" in names or not all(isinstance(field, str) for field in names):
        return it.unknown(name, "call")
    node = code.Class(str(constant(called)), [], [], [], place.at)
    attributes: dict[str, Value] = {str(field): Unknown(str(field), "field") for field in names}
    return ClassValue(node, it.scope, (External("typing.NamedTuple"),), attributes)


def _nothing(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Constant(None)


HANDLERS: dict[str, Handler] = {
    "torch.optim.swa_utils.AveragedModel": _average, "torch.optim.swa_utils.update_bn": _nothing,
    **{
        f"{owner}.{name}": _arithmetic
        for owner in ("math", "numpy")
        for name in ("sqrt", "exp", "log", "floor", "ceil", "log2", "log10")
    },
    "math.pow": _arithmetic, "type": _type, "isinstance": _isinstance, "len": _length, "range": _steps,
    "enumerate": _steps, "zip": _steps, "reversed": _steps, "itertools.count": _steps, "iter": _through,
    "next": _next, "tqdm.tqdm": _through, "tqdm.trange": _steps, "tqdm.auto.tqdm": _through,
    "tqdm.notebook.tqdm": _through, "rich.progress.track": _through, "list": _sequence, "tuple": _sequence,
    "set": _sequence, "sorted": _sequence, "filter": _filter, "map": _filter, "itertools.chain": _chain,
    "itertools.chain.from_iterable": _chain, "sum": _sum, "max": _sum, "min": _sum, "float": _number, "int": _number,
    "str": _number, "bool": _number, "copy.deepcopy": _copy, "copy.copy": _copy, "functools.partial": _partial,
    "getattr": _getattr, "setattr": _setattr, "dict": _mapping, "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping, "types.SimpleNamespace": _mapping, "argparse.Namespace": _mapping,
    "easydict.EasyDict": _mapping, "argparse.ArgumentParser": _parser, "configargparse.ArgumentParser": _parser,
    "dataclasses.field": _field, "torch.nn.Module.__init__": _super_init, "torch.utils.data.DataLoader": _loader,
    "torch.utils.data.Subset": _through, "torch.utils.data.random_split": _split,
    "torch.utils.data.TensorDataset": _dataset, "itertools.cycle": _through,
    "collections.namedtuple": _named_tuple, "typing.cast": lambda it, n, a, k, p: a[1] if len(a) > 1 else it.unknown(n),
}  # fmt: skip
