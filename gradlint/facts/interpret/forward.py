"""Calling a module: its forward is run, a layer's is known from tables, an unseen one's output hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import torch_names as names
from gradlint.facts.events import Forward
from gradlint.facts.interpret import functions, losses, modules, recurrences, shaping, tensors
from gradlint.facts.merging import merge
from gradlint.facts.model import CarriedState
from gradlint.facts.values import (
    Choice,
    Collection,
    FunctionValue,
    Instance,
    Layer,
    Operation,
    Place,
    Tensor,
    Unknown,
    Value,
    is_module,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def run(
    it: Interpreter,
    module: Value,
    arguments: list[Value],
    keywords: dict[str, Value],
    place: Place,
    method: str = "forward",
) -> Value:
    """`module(*arguments)`."""
    outermost = not it.forwards
    carrying = it.carrying
    it.carrying = carrying or _carried(it, module, [*arguments, *keywords.values()], place)
    try:
        result = _run(it, module, arguments, keywords, place, method)
    finally:
        it.carrying = carrying
    if outermost and not (isinstance(module, Layer) and module.name in names.LOSSES):
        _attach(it, module, result)
        it.emit(Forward(place, it.frame.function, module, result, it.recording))
    return result


def _carried(it: Interpreter, module: Value, given: list[Value], place: Place) -> bool:
    """Whether a module is given what an earlier iteration computed with its graph; kept as a fact."""
    if not it.repeats or not it.carried or it.carrying or it.recording is False:
        return False
    for state in tensors.parts(given):
        if isinstance(state, Tensor) and state.roots:
            above = _left_over(it, state)
            if any(id(known.state) in above for known in it.facts.carried if known.state is not state):
                return True
            loops = tuple(sorted({it.carried[key] for key in above if key in it.carried}))
            if loops and it.once("carried", place, loops):
                it.facts.carried.append(CarriedState(module, state, place, loops))
            if loops:
                return True
    return False


def _left_over(it: Interpreter, state: Tensor) -> frozenset[int]:
    """What earlier iterations left, or a module was given of it, of all that a tensor was computed from."""
    count = len(it.carried) + len(it.facts.carried)
    if it.left_over[0] != count:
        it.left_over = (count, {})
    known = it.left_over[1]
    if id(state) not in known:
        wanted = it.carried.keys() | {id(fact.state) for fact in it.facts.carried}
        found: set[int] = set()
        seen: set[int] = set()
        stack: list[Value] = [state]
        while stack and len(seen) < tensors.ANCESTORS:
            part = stack.pop()
            if id(part) in known:
                found |= known[id(part)]
            elif id(part) not in seen and id(part) not in it.settled:
                seen.add(id(part))
                if isinstance(part, Tensor):
                    stack.extend(part.sources)
        known[id(state)] = frozenset(found | (seen & wanted))
        it.kept.append(state)
    return known[id(state)]


def _run(
    it: Interpreter, module: Value, arguments: list[Value], keywords: dict[str, Value], place: Place, method: str
) -> Value:
    if isinstance(module, Instance):
        return _instance(it, module, arguments, keywords, place, method)
    if isinstance(module, Layer):
        return layer(it, module, arguments, keywords, place)
    return unseen(it, module, arguments, keywords, place)


def _attach(it: Interpreter, module: Value, result: Value) -> None:
    """Seen from outside, an output hangs on the module as a whole."""
    inside = {id(part) for part in modules.walk(module)}
    for part in tensors.parts([result]):
        if isinstance(part, Tensor) and part.roots and not part.parameter:
            kept = frozenset(root for root in part.roots if id(_holder(root)) not in inside)
            if kept != part.roots:
                it.facts.inner[id(part)] = part.roots - kept
                it.kept.append(part)
                part.roots = kept | {module}


def _holder(root: Value) -> Value:
    return root.owner if isinstance(root, Tensor) and root.owner is not None else root


def _instance(
    it: Interpreter, module: Instance, arguments: list[Value], keywords: dict[str, Value], place: Place, method: str
) -> Value:
    hit = module.cls.find(method)
    if hit is None or not isinstance(hit[0], FunctionValue):
        if method == "forward" and _is_sequential(module):
            return layer(it, _as_sequential(module), arguments, keywords, place)
        return unseen(it, module, arguments, keywords, place)
    if functions.hidden(it, hit[0]):
        return unseen(it, module, arguments, keywords, place)
    it.forwards.append(module)
    try:
        result = functions.enter(it, functions.bound(hit[0], module, hit[1]), arguments, keywords, place)
    finally:
        it.forwards.pop()
    if isinstance(result, Unknown):
        return unseen(it, module, [*arguments, *result.touched], keywords, place)
    return result


def _is_sequential(module: Instance) -> bool:
    return "torch.nn.Sequential" in module.cls.externals() and not module.cls.opaque


def _as_sequential(module: Instance) -> Layer:
    found = Layer("torch.nn.Sequential", [], {}, module.place)
    for name, child in modules.children(module):
        found.names.append(name)
        found.children.append(child)
    found.complete = bool(found.children)
    return found


def unseen(it: Interpreter, module: Value, arguments: list[Value], keywords: dict[str, Value], place: Place) -> Tensor:
    """The output of a module whose forward cannot be seen."""
    sources = [*arguments, *keywords.values()]
    result = tensors.layered(it, "unknown", module, sources, place)
    result.chain = Operation("unknown", module, place, None)
    result.hint = "output"
    return result


def layer(it: Interpreter, module: Layer, arguments: list[Value], keywords: dict[str, Value], place: Place) -> Value:
    """A layer of torch.nn, or an installed module nobody can see into."""
    name = module.name
    source = arguments[0] if arguments else next(iter(keywords.values()), Unknown("input"))
    if isinstance(source, Choice):
        source = merge(source.options)
    if not module.kind.startswith("torch.nn.") or module.kind in names.WRAPPERS:
        output = unseen(it, module, arguments, keywords, place)
        head = modules.vision_head(module)
        return output if head is None else _under(it, head, output, place)
    if name == "Sequential":
        return _sequential(it, module, arguments, keywords, place)
    if name in names.LOSSES:
        return losses.apply(it, name, module, arguments, keywords, place, {**_named(module), **module.keywords})
    if name in names.ACTIVATIONS:
        kind = names.ACTIVATIONS[name]
        return tensors.activation(
            it, kind, source, place, module.argument(0, "dim") if kind.endswith("softmax") else None, module
        )
    if name in names.RECURRENT:
        return _recurrent(it, module, arguments, keywords, place)
    if name in names.NORMS:
        return tensors.layered(it, "norm", module, [source], place, "norm")
    if name in names.LINEAR:
        return tensors.layered(it, "linear", module, arguments or [source], place, "linear")
    if name in names.CONVOLUTIONS:
        return tensors.layered(it, "conv", module, [source], place, "linear")
    if name in names.EMBEDDINGS:
        return tensors.layered(it, "embedding", module, [source], place, "embedding")
    if name == "MultiheadAttention":
        out = tensors.layered(it, "attention", module, arguments, place)
        return Collection("tuple", [out, tensors.layered(it, "attention", module, arguments, place)])
    if name in names.ATTENTION:
        return tensors.layered(it, "attention", module, [*arguments, *keywords.values()], place)
    others = [value for value in (*arguments, *keywords.values()) if value is not source]
    return _plain(it, name, module, source, place, others)


def _under(it: Interpreter, head: Value, features: Tensor, place: Place) -> Value:
    """What the last module of a network makes of the features that the rest of it gives."""
    it.forwards.append(None)
    try:
        return run(it, head, [features], {}, place)
    finally:
        it.forwards.pop()


def _named(module: Layer) -> dict[str, Value]:
    return {"weight": module.arguments[0]} if module.arguments and module.name == "CrossEntropyLoss" else {}


def _plain(it: Interpreter, name: str, module: Layer, source: Value, place: Place, others: list[Value]) -> Value:
    """Layers without parameters: pooling, dropout, reshaping, the similarity or distance of two inputs."""
    base = source.chain if isinstance(source, Tensor) else None
    keeping = name in ("Identity", "Flatten", "Unflatten") or "Dropout" in name
    kind = "dropout" if "Dropout" in name else "pool" if "Pool" in name else "reshape" if keeping else "unknown"
    op = Operation(kind, module, place, base, depth=base.depth + 1 if base else 1)
    result = tensors.derive(it, [source, *others], place, keep_form=keeping, op=op)
    result.shape = shaping.plain(kind, name, module, source)
    return result


def _sequential(
    it: Interpreter, module: Layer, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    if not module.children or not all(is_module(c) or isinstance(c, (Unknown, Choice)) for c in module.children):
        return unseen(it, module, arguments, keywords, place)
    it.forwards.append(None)
    try:
        current: Value = arguments[0] if arguments else Unknown("input")
        for child in module.children:
            current = run(it, child, [current], {}, place)
    finally:
        it.forwards.pop()
    return current


def _recurrent(
    it: Interpreter, module: Layer, arguments: list[Value], keywords: dict[str, Value], place: Place
) -> Value:
    hidden = arguments[1] if len(arguments) > 1 else keywords.get("hx")
    out = tensors.layered(it, "recurrent", module, [*arguments[:1], hidden], place)
    out.state_of = None
    state = tensors.layered(it, "recurrent", module, [*arguments[:1], hidden], place)
    state.state_of, state.hint = module, "hidden"
    recurrences.applied(it, module, arguments[0] if arguments else None, hidden, (out, state), place)
    if module.name in ("RNNCell", "GRUCell"):
        return state
    if module.name == "LSTMCell":
        return Collection("tuple", [state, state])
    return Collection("tuple", [out, Collection("tuple", [state, state]) if module.name == "LSTM" else state])
