"""What installed functions and classes do, by qualified name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.events import Backward, ClipGrad, Construct, Escape, OptimizerStep, SaveSnapshot
from gradlint.facts.interpret import (
    assign,
    calls,
    conditions,
    datasets,
    distributions,
    forward,
    frameworks,
    initialisers,
    iterators,
    losses,
    methods,
    modules,
    precision,
    ranges,
    shaping,
    tensors,
)
from gradlint.facts.interpret.method_call import argument
from gradlint.facts.roles import interesting, last_name, role
from gradlint.facts.values import (
    UNKNOWN_START,
    Choice,
    ClassValue,
    Collection,
    Constant,
    Context,
    Cut,
    External,
    Form,
    FunctionValue,
    Gradient,
    Instance,
    Layer,
    Loader,
    Mapping,
    Optimizer,
    Parameters,
    Partial,
    Place,
    Scaler,
    Scheduler,
    Snapshot,
    Steps,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
    merge,
    number,
)  # fmt: skip

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

Arguments = list[Value]
Keywords = dict[str, Value]
_NUMERIC = ("torch.", "torch.nn.functional.", "torch.Tensor.", "torch.linalg.", "torch.special.")


def call(
    it: Interpreter,
    name: str,
    arguments: Arguments,
    keywords: Keywords,
    place: Place,
    hint: str,
    discarded: bool = False,
) -> Value:
    """The result of calling an installed name, and what it does to its arguments."""
    result = _call(it, name, arguments, keywords, place, hint)
    precision.outside(name, result)
    shaping.outside(name, result)
    if name.startswith(_NUMERIC):
        ranges.operation(it, name.rpartition(".")[2], arguments, result, place, keywords)
    if name.startswith(("torch", "lightning", "transformers", "accelerate")) or "." in name:
        calls.record(it, name, arguments, keywords, result, place, discarded)
    return result


def _call(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place, hint: str) -> Value:
    handler = _EXACT.get(name)
    if handler is not None:
        return handler(it, name, arguments, keywords, place)
    if name.endswith(".__init__") and it.frames and arguments and arguments[0] is it.frame.receiver:
        return _super_init(it, name, arguments, keywords, place)
    if _is_optimizer(name):
        return optimizer(it, name, arguments, keywords, place)
    if name.startswith(names.SCHEDULER_PREFIXES) or last_name(name) in names.SCHEDULER_FACTORIES:
        return _scheduler(it, name, arguments, keywords, place)
    if name in names.SCALERS:
        found = Scaler(name, keywords.get("enabled") or _enabled(name, arguments), place)
        if it.once("scaler", place):
            it.facts.scalers.append(found)
        return found
    if name in names.AUTOCAST:
        return Context("autocast", keywords.get("enabled"), place, precision.autocast(name, arguments, keywords))
    if name in names.CLIPPERS:
        return _clip(it, name, arguments, keywords, place)
    if name in names.WRAPPERS and (arguments or "module" in keywords):
        wrapped = arguments[0] if arguments else keywords["module"]
        if isinstance(wrapped, Layer) and name.endswith((".spectral_norm", ".orthogonal")):
            it.journal.write(wrapped.started, "weight", UNKNOWN_START)
        return (
            wrapped
            if is_module(wrapped) or isinstance(wrapped, (Unknown, Choice))
            else it.unknown(last_name(name), "call")
        )
    if name.startswith("torch.nn.init."):
        return initialisers.function(it, name, arguments, keywords, place)
    if name.startswith("torch.nn.functional."):
        return _functional(it, name.rpartition(".")[2], arguments, keywords, place)
    if name.startswith("torch.nn.") and name.rpartition(".")[2][:1].isupper():
        return _layer(it, name, arguments, keywords, place)
    if name.startswith("torch.Tensor."):
        return _tensor_function(it, name.rpartition(".")[2], arguments, keywords, place)
    if name.startswith("torch.") and name.count(".") == 1:
        return _tensor_function(it, name[6:], arguments, keywords, place)
    if name.startswith(("torch.linalg.", "torch.special.", "torch.fft.", "einops.")):
        return tensors.derive(it, [*arguments, *keywords.values()], place)
    for construct in (frameworks.construct, distributions.construct, datasets.construct):
        made = construct(it, name, arguments, keywords, place)
        if made is not None:
            return made
    return _other(it, name, arguments, keywords, place, hint)


def _enabled(name: str, arguments: Arguments) -> Value | None:
    return next((a for a in arguments if isinstance(a, Constant) and isinstance(a.value, bool)), None)


def _is_optimizer(name: str) -> bool:
    if not name.startswith(names.OPTIMIZER_PREFIXES) or any(name.startswith(other) for other in names.NOT_OPTIMIZERS):
        return False
    return name.rpartition(".")[2][:1].isupper()


# Optimizers and what surrounds them


def one_class(choice: Choice) -> External | None:
    """What optimizer classes that a branch or a table chooses from have in common; None for anything else."""
    found = [option.name for option in choice.options if isinstance(option, External) and _is_optimizer(option.name)]
    if len(found) != len(choice.options):
        return None
    same = len({last_name(name).removesuffix("8bit") for name in found}) == 1
    return External(found[-1] if same else _BASES["torch.optim"])


def optimizer(
    it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place, known: bool = True
) -> Optimizer:
    """An optimizer built over its first argument."""
    given = arguments[0] if arguments else keywords.get("params", keywords.get("parameters"))
    settings = {key: value for key, value in keywords.items() if key not in ("params", "parameters")}
    if len(arguments) > 1:
        settings.setdefault("lr", arguments[1])
    groups: list[dict[str, Value]] = []
    parameters: list[Value] = []
    for part in _groups(given):
        if isinstance(part, Mapping) and "params" in part.items:
            parameters.append(part.items["params"])
            groups.append({str(key): value for key, value in part.items.items() if key != "params"})
        elif part is not None:
            parameters.append(part)
    for value in parameters:
        iterators.exhaust(it, value, place, last_name(name))
    found = Optimizer(
        name, tuple(parameters), settings, place, known, tuple(groups), closure=last_name(name) == "LBFGS"
    )
    found.alternatives = isinstance(given, Choice)
    found.unusual = it.unusual
    if it.once("optimizer", place):
        it.facts.optimizers.append(found)
    it.emit(Construct(place, it.frame.function, found))
    return found


def _groups(given: Value | None) -> list[Value | None]:
    if isinstance(given, Collection) and any(isinstance(item, Mapping) for item in given.items):
        return list(given.items)
    if isinstance(given, Choice):
        return list(given.options)
    return [given]


def _scheduler(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    target = arguments[0] if arguments else keywords.get("optimizer")
    if isinstance(target, Constant) and last_name(name) == "get_scheduler":
        target = keywords.get("optimizer", arguments[1] if len(arguments) > 1 else None)
    if last_name(name) in ("SequentialLR", "ChainedScheduler") and isinstance(target, Collection):
        inner = target.items[0] if target.items else None
        target = inner.optimizer if isinstance(inner, Scheduler) else None
    found = Scheduler(name, target, arguments, keywords, place)
    if it.once("scheduler", place):
        it.facts.schedulers.append(found)
    it.emit(Construct(place, it.frame.function, found))
    return found


def _clip(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    target = arguments[0] if arguments else keywords.get("parameters", Unknown("parameters"))
    limit = None
    for key, position in (("max_norm", 1), ("clip_value", 1), ("value", 1)):
        limit = limit or argument(arguments, keywords, position, key)
    it.emit(ClipGrad(place, it.frame.function, names.CLIPPERS[name], target, limit, last_name(name)))
    iterators.exhaust(it, target, place, last_name(name))
    return it.unknown("grad_norm")


def _backward(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[0] if arguments else keywords.get("tensors", Unknown("loss"))
    loss = given.items[0] if isinstance(given, Collection) and given.items else given
    retain, create = keywords.get("retain_graph"), keywords.get("create_graph")
    gradient = argument(arguments, keywords, 1, "grad_tensors")
    it.emit(Backward(place, it.frame.function, loss, retain, create, gradient=gradient))
    return Constant(None)


def _grad(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`torch.autograd.grad(outputs, inputs)`: hangs on what computed the outputs if `create_graph` is on."""
    outputs, kept = argument(arguments, keywords, 0, "outputs"), keywords.get("create_graph")
    kept = kept or (arguments[4] if len(arguments) > 4 else Constant(False))
    found = tensors.derive(it, [outputs], place)
    found.loss, found.form, found.chain = None, None, None
    if not isinstance(kept, Constant) or kept.default or "**" in keywords:
        found.mystery = True
    elif not kept.value:
        lost = Cut("grad", place, found.roots, found.cuts)
        found.roots, found.mystery, found.cuts, found.sources = frozenset(), False, (*found.cuts, lost), ()
    return Collection("tuple", [found], open=True, element=found)


def _variable(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`Variable(tensor)` of old code: the same data with no history."""
    first = argument(arguments, keywords, 0, "data")
    if not isinstance(first, Tensor) or not (first.roots or first.cuts):
        return _other(it, name, arguments, keywords, place, name)
    cut = tensors.cut(it, first, "variable", place)
    if isinstance(cut, Tensor) and constant(argument(arguments, keywords, 1, "requires_grad")):
        cut.attribute = "requires_grad"
    return cut


def _save(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`torch.save(obj, path)`: an event where a state dict is saved that was taken earlier."""
    state = argument(arguments, keywords, 0, "obj")
    if state is not None and any(isinstance(part, Snapshot) for part in _held(state)):
        it.emit(SaveSnapshot(place, it.frame.function, state))
    return Constant(None)


def _held(value: Value) -> list[Value]:
    if isinstance(value, Collection):
        return [part for item in value.items for part in _held(item)]
    if isinstance(value, Mapping):
        return [part for item in value.items.values() for part in _held(item)]
    return list(value.options) if isinstance(value, Choice) else [value]


def _functional_call(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`functional_call(model, params, args)`: the model's forward, whose output hangs on the parameters given."""
    module = argument(arguments, keywords, 0, "module")
    given = argument(arguments, keywords, 1, "parameter_and_buffer_dicts")
    inputs = argument(arguments, keywords, 2, "args")
    if module is None or not (is_module(module) or role(module) == "module"):
        return _other(it, name, arguments, keywords, place, name)
    passed = list(inputs.items) if isinstance(inputs, Collection) else [] if inputs is None else [inputs]
    result = forward.run(it, module, passed, {}, place)
    sources = [part for part in tensors.parts([given, *passed]) if isinstance(part, Tensor)]
    for part in tensors.parts([result]):
        if isinstance(part, Tensor):
            part.roots = frozenset(root for source in sources for root in source.roots)
            part.mystery = True
    return result


def _distributed_backward(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    it.facts.frameworks.add("distributed autograd")
    return Constant(None)


def _xla_step(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if arguments:
        it.emit(OptimizerStep(place, it.frame.function, arguments[0], External(name)))
    return Constant(None)


# Modules


def _layer(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if name in ("torch.nn.Parameter", "torch.nn.UninitializedParameter"):
        return parameter(it, name, arguments, keywords, place)
    if name == "torch.nn.Module":
        return Layer(name, arguments, keywords, place, complete=False)
    found = Layer(name, arguments, keywords, place)
    it.journal.born(found.started)
    if found.name in names.CONTAINERS:
        modules.container(found)
    it.made(found)
    if it.once("layer", place):
        it.facts.layers.append(found)
    return found


def parameter(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`nn.Parameter(...)`."""
    data = arguments[0] if arguments else keywords.get("data")
    found = Tensor(mystery=False, parameter=True, hint="parameter", place=place, attribute="weight")
    found.made = dict(data.made) if isinstance(data, Tensor) and data.made is not None else {"weight": UNKNOWN_START}
    frozen = keywords.get("requires_grad") or (arguments[1] if len(arguments) > 1 else None)
    if not (isinstance(frozen, Constant) and frozen.value is False):
        found.roots = frozenset((found,))
        found.mystery = frozen is not None and not isinstance(frozen, Constant)
    return found


# Functions of torch and torch.nn.functional


def _functional(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if name in names.FUNCTIONAL_LOSSES:
        return losses.apply(it, names.FUNCTIONAL_LOSSES[name], External(f"F.{name}"), arguments, keywords, place, {})
    source = arguments[0] if arguments else keywords.get("input", Unknown("input"))
    if name in names.FUNCTIONAL_ACTIVATIONS:
        dim = argument(arguments, keywords, 1, "dim") if "softmax" in name else None
        how = Layer(f"torch.nn.functional.{name}", arguments[1:], keywords, place)
        return tensors.activation(it, name.rstrip("_"), source, place, dim, how)
    if name == "one_hot":
        return tensors.cut(it, source, "non-differentiable one_hot", place)
    from gradlint.facts.values import Operation

    base = source.chain if isinstance(source, Tensor) else None
    kinds = {"dropout": "dropout", "layer_norm": "norm", "batch_norm": "norm", "group_norm": "norm", "rms_norm": "norm"}
    kind = "pool" if "pool" in name else kinds.get(name, "unknown")
    called: Value = Layer(f"torch.nn.functional.{name}", arguments[1:], keywords, place)
    weight = argument(arguments, keywords, 1, "weight")
    if name == "linear" and isinstance(weight, Tensor) and weight.parameter:
        kind, called = "linear", Layer("transposed", [weight], {}, place)
    op = Operation(kind, called, place, base, depth=base.depth + 1 if base else 1)
    sources = [*arguments, *keywords.values()]
    return tensors.derive(it, sources, place, keep_form=name.startswith("dropout"), op=op)


def _tensor_function(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`torch.name(...)`."""
    first = arguments[0] if arguments else keywords.get("input")
    if name.endswith("_"):
        for part in tensors.parts([first]):
            if isinstance(part, Gradient):
                it.grad_edited(assign.gradient_owner(part.owner), place.at)
    if name in ("tensor", "as_tensor", "Tensor", "FloatTensor", "from_numpy"):
        wants = constant(keywords.get("requires_grad"))
        if isinstance(first, Collection) and any(isinstance(part, Tensor) for part in tensors.parts([first])):
            first = tensors.derive(it, [first], place)
            name = "tensor"
        if len(arguments) > 1 and name in ("Tensor", "FloatTensor"):
            return tensors.fresh(it, "empty", arguments, keywords, place)
        cut = tensors.cut(it, first, "tensor", place) if isinstance(first, (Tensor, Unknown)) else None
        if isinstance(cut, Tensor) and name != "as_tensor":
            cut.attribute = "requires_grad" if wants else ""
            return cut
        if isinstance(first, Tensor) and name == "as_tensor":
            if first.roots and all(isinstance(root, Unknown) for root in first.roots):
                # Who makes a tensor of it takes what unseen code gave for none.
                return Tensor(hint=first.hint, place=place)
            return first
        found = tensors.fresh(it, "tensor", arguments, keywords, place)
        if wants:
            found.roots, found.attribute = frozenset((found,)), "leaf"
        return found
    if name in names.FACTORIES and name not in ("zeros_like", "ones_like"):
        found = tensors.fresh(it, name, arguments, keywords, place)
        if constant(keywords.get("requires_grad")) is True:
            found.roots, found.attribute, found.parameter, found.owner = frozenset((found,)), "leaf", True, found
        return found if name != "load" else Unknown("checkpoint", "value")
    if name in names.FUNCTIONAL_ACTIVATIONS and first is not None:
        return tensors.activation(it, name.rstrip("_"), first, place, argument(arguments, keywords, 1, "dim"))
    if name in ("cat", "concat", "stack", "hstack", "vstack", "concatenate"):
        joined = tensors.derive(it, [first], place)
        joint = tensors.parts([first])
        if len(joint) > 1:
            joined.chain = None
        forms = [part.form for part in joint if isinstance(part, Tensor) and part.form is not None]
        if forms and len(forms) == len(joint) and len({form.kind for form in forms}) == 1:
            joined.form = Form(forms[0].kind, forms[0].place)
        return joined
    if isinstance(first, Tensor):
        return methods.call(it, first, name, arguments[1:], keywords, place, f"torch.{name}")
    if name in names.NON_DIFFERENTIABLE and first is not None:
        return tensors.cut(it, first, f"non-differentiable {name}", place)
    if first is None or not tensors.parts([*arguments, *keywords.values()]):
        return it.unknown(name, "call")
    return tensors.derive(it, [*arguments, *keywords.values()], place)


# Python's own


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
        return Parameters(given.owners, given.whole, False, given.named)
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
        return it.unknown(name, "value", tuple(inside))
    values = [part.value for part in numbers if isinstance(part, Constant) and isinstance(part.value, (int, float))]
    if len(values) != len(numbers) or not values:
        return it.unknown(name)
    default = any(isinstance(part, Constant) and part.default for part in numbers)
    table: dict[str, Callable[[list[int | float]], int | float]] = {"max": max, "min": min, "sum": sum}
    return Constant(table[name](values), default)


def _number(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[0] if arguments else Constant(0)
    if isinstance(given, Constant) and isinstance(given.value, (int, float, str)):
        try:
            return Constant(
                {"float": float, "int": int, "str": str, "bool": bool}[name](given.value), given.default, given.place
            )
        except (ValueError, OverflowError):
            return it.unknown(name)
    if isinstance(given, (Tensor, Unknown)) and name in ("float", "int"):
        return tensors.cut(it, given, "float", place)
    return it.unknown(name)


def _copy(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    given = arguments[0] if arguments else Unknown()
    deep = name.endswith("deepcopy")
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
    if made is not given:
        it.made(made)
    return made


def _partial(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Partial(arguments[0], arguments[1:], dict(keywords)) if arguments else it.unknown(name)


_BASES = {"torch.optim": "torch.optim.Optimizer", "torch.optim.lr_scheduler": "torch.optim.lr_scheduler.LRScheduler"}
"""What a class is at least that is looked up in a module by a name nobody knows."""


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
    if isinstance(arguments[0], External) and arguments[0].name in _BASES:
        return External(_BASES[arguments[0].name])
    if isinstance(arguments[0], External) and arguments[0].name == "torch.nn":
        return Unknown("module_class", "call")
    return it.unknown("attribute", "item" if isinstance(arguments[0], Instance) else "attribute")


def _setattr(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    if len(arguments) == 3 and isinstance(arguments[0], Instance):
        key = constant(arguments[1])
        label = key if isinstance(key, str) and key != "…" else f"?{len(arguments[0].attributes)}"
        it.attribute_written(arguments[0], label, arguments[2], place.at)
        it.journal.write(arguments[0].attributes, label, arguments[2])
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


def _context(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    kind = last_name(name)
    if arguments and isinstance(arguments[0], FunctionValue):
        it.contexts[id(arguments[0].node)] = [Context(kind, None, place)]
        return arguments[0]
    given = arguments[0] if arguments else keywords.get("mode")
    if kind in ("no_grad", "inference_mode") and isinstance(given, Constant) and given.value is False:
        return Context("enable_grad", None, place)
    if kind == "set_grad_enabled" and it.statement == place.at:
        # A plain call switches the mode for good.
        it.recording = bool(constant(given)) if isinstance(given, Constant) and not given.default else None
        it.recording_context = kind
    return Context(kind, given, place)


def _dataset(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Steps("tensors", arguments)


def _split(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`random_split(dataset, sizes)`: parts that give what the whole gives."""
    whole = arguments[0] if arguments else keywords.get("dataset", it.unknown(name, "value"))
    return Collection("list", [], open=True, element=whole)


def _loader(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    return Loader(arguments, keywords, place)


def _checkpoint(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    rest = {key: value for key, value in keywords.items() if key not in ("use_reentrant", "preserve_rng_state")}
    return calls.apply(it, arguments[0], arguments[1:], rest, place, "checkpoint") if arguments else it.unknown(name)


def _unwrap(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place) -> Value:
    """`multiply_no_nan`-like helpers with one model argument that come back as that model."""
    return arguments[0] if arguments else it.unknown(name)


def _sized(name: str) -> bool:
    """Whether a function of numpy makes something new, of which its arguments are the size: `numpy.ones(shape)`."""
    return name.startswith("numpy.random.") or last_name(name) in names.FACTORIES


def _other(it: Interpreter, name: str, arguments: Arguments, keywords: Keywords, place: Place, hint: str) -> Value:
    """An installed function nobody described."""
    values = [*arguments, *keywords.values()]
    if name.startswith(("numpy.", "scipy.", "math.")) and not _sized(name):
        outside = tensors.outside(it, values, name, place)
        if outside is not None:
            return outside
    if name.startswith(names.HARMLESS_PREFIXES):
        return it.unknown(last_name(name), "value")
    last = last_name(name)
    if name.startswith("torch.utils.data."):
        return it.unknown(last, "value")
    if _makes_module(name):
        made = Layer(name, arguments, keywords, place, complete=False)
        it.made(made)
        return made
    values = [*arguments, *keywords.values()]
    escaping = tuple(v for v in values if interesting(v) and not isinstance(v, Tensor))
    if escaping:
        it.emit(Escape(place, it.frame.function, escaping, hint))
    inside = tensors.parts(values)
    if any(isinstance(part, Tensor) and (part.roots or part.cuts) for part in inside):
        result = tensors.derive(it, values, place, hint=last)
        result.mystery = result.mystery or not result.roots
        result.chain, result.optional = None, True
        return result
    return it.unknown(last, "call", (*escaping, *[p for p in inside if isinstance(p, Tensor)]))


def _makes_module(name: str) -> bool:
    last = last_name(name)
    if name.startswith(("torchvision.models.", "timm.create_model", "torch.hub.load", "segmentation_models_pytorch.")):
        return not last.endswith("_Weights") and "_Weights." not in name
    if name.startswith(("transformers.", "peft.", "diffusers.", "sentence_transformers.")):
        if last in ("from_pretrained", "from_config") or "For" in last or last.endswith("Model"):
            owner = name.split(".")[-2] if last.startswith("from_") else last
            return (
                "Model" in owner
                or "For" in owner
                or "Transformer" in owner
                or owner.startswith(("UNet", "Autoencoder"))
            )
        return last == "get_peft_model"
    return name.startswith("torch_geometric.nn.") and last[:1].isupper()


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
    if not arguments or keywords or len(known) != len(given):
        return _other(it, name, arguments, keywords, place, name)
    try:
        found = function(*known)
    except (ArithmeticError, ValueError, TypeError):
        return it.unknown(name)
    return Constant(found, any(isinstance(argument, Constant) and argument.default for argument in arguments))


Handler = Callable[["Interpreter", str, Arguments, Keywords, Place], Value]
_EXACT: dict[str, Handler] = {
    **{
        f"{owner}.{name}": _arithmetic
        for owner in ("math", "numpy")
        for name in ("sqrt", "exp", "log", "floor", "ceil", "log2", "log10")
    },
    "math.pow": _arithmetic, "type": _type, "isinstance": _isinstance, "len": _length, "range": _steps,
    "enumerate": _steps, "zip": _steps, "reversed": _steps,
    "itertools.count": _steps, "iter": _through, "next": _next, "tqdm.tqdm": _through, "tqdm.trange": _steps,
    "tqdm.auto.tqdm": _through, "tqdm.notebook.tqdm": _through, "rich.progress.track": _through,
    "list": _sequence, "tuple": _sequence, "set": _sequence, "sorted": _sequence, "filter": _filter, "map": _filter,
    "itertools.chain": _chain, "itertools.chain.from_iterable": _chain, "sum": _sum, "max": _sum, "min": _sum,
    "float": _number, "int": _number, "str": _number, "bool": _number, "copy.deepcopy": _copy, "copy.copy": _copy,
    "functools.partial": _partial, "getattr": _getattr, "setattr": _setattr, "dict": _mapping,
    "collections.OrderedDict": _mapping, "collections.defaultdict": _mapping, "types.SimpleNamespace": _mapping,
    "argparse.Namespace": _mapping, "easydict.EasyDict": _mapping, "argparse.ArgumentParser": _parser,
    "configargparse.ArgumentParser": _parser, "dataclasses.field": _field, "torch.nn.Module.__init__": _super_init,
    "torch.no_grad": _context, "torch.inference_mode": _context, "torch.enable_grad": _context,
    "torch.set_grad_enabled": _context, "torch.autograd.backward": _backward, "torch.autograd.grad": _grad,
    "torch.save": _save, "torch.autograd.Variable": _variable,
    "torch.distributed.autograd.backward": _distributed_backward, "torch_xla.core.xla_model.optimizer_step": _xla_step,
    "torch.utils.data.DataLoader": _loader, "torch.utils.data.Subset": _through,
    "torch.utils.data.random_split": _split,
    "torch.utils.data.TensorDataset": _dataset,
    "torch.utils.checkpoint.checkpoint": _checkpoint, "torch.func.functional_call": _functional_call,
    "torch.nn.utils.stateless.functional_call": _functional_call,
    "itertools.cycle": _through, "typing.cast": lambda it, n, a, k, p: a[1] if len(a) > 1 else it.unknown(n),
}  # fmt: skip

__all__ = ["ClassValue", "call", "merge", "optimizer", "parameter"]
