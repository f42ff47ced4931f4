"""Tensors through operations: what they hang on, where they were cut, what the last operation made of them."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from gradlint.facts.events import Freeze
from gradlint.facts.formulas import EVERYTHING, UNKNOWN
from gradlint.facts.interpret import bootstraps, precision, ranges, shaping
from gradlint.facts.merging import join_tensors, united
from gradlint.facts.model import InPlace
from gradlint.facts.roles import carries_graph, role
from gradlint.facts.values import (
    UNKNOWN_START,
    Choice,
    Collection,
    Constant,
    Cut,
    Form,
    Gradient,
    Initialiser,
    Instance,
    Layer,
    Mapping,
    Operation,
    Place,
    Tensor,
    Unknown,
    Value,
    integer,
    number,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


ANCESTORS = 4000
"""Tensors looked at when asking what a tensor was computed from."""


def parts(values: Iterable[Value | None]) -> list[Value]:
    """Tensors and unknowns inside arguments, through tuples, lists and dicts."""
    found: list[Value] = []
    for value in values:
        if isinstance(value, (Tensor, Unknown, Gradient)):
            found.append(value)
        elif isinstance(value, Collection):
            found.extend(parts(value.items[:32]))
            if value.element is not None:
                found.extend(parts([value.element]))
        elif isinstance(value, Mapping):
            found.extend(parts(list(value.items.values())[:32]))
        elif isinstance(value, Instance):
            found.extend(parts((value.fields or [])[:32]))
        elif isinstance(value, Choice):
            found.extend(parts(value.options))
    return found


def derive(
    it: Interpreter,
    sources: Iterable[Value | None],
    place: Place,
    *,
    keep_form: bool = False,
    hint: str = "",
    op: Operation | None = None,
) -> Tensor:
    """The result of a differentiable operation on `sources`, under the grad mode in force."""
    sources = list(sources)
    found = parts(sources)
    tensors: list[Tensor] = []
    cuts: list[Cut] = []
    mystery = divided = False
    state_of: Value | None = None
    for value in found:
        if isinstance(value, Tensor):
            tensors.append(value)
            mystery, divided = mystery or value.mystery, divided or value.divided
            state_of = state_of or value.state_of
            cuts.extend([cut for cut in value.cuts if not cut.kind.startswith("added ")])
        else:
            mystery = mystery or (isinstance(value, Unknown) and carries_graph(value))
    first = tensors[0] if tensors else None
    only = first if len(tensors) == 1 else None
    result = Tensor(
        roots=united([t.roots for t in tensors]),
        cuts=tuple(dict.fromkeys(cuts)) if len(cuts) > 1 else tuple(cuts),
        mystery=mystery,
        form=only.form if keep_form and only is not None else None,
        chain=op or (only.chain if only is not None else None),
        loss=only.loss if only is not None else None,
        hint=hint or (first.hint if first is not None else next((v.hint for v in found if isinstance(v, Unknown)), "")),
        state_of=state_of,
        divided=divided,
        place=place,
        sources=live(sources, tensors),
        formula=ranges.formula_of(only) if keep_form and only is not None else None,
        dtype=first.dtype if keep_form and first is not None else "",
    )
    return unrecorded(it, result, place)


def live(sources: Iterable[Value | None], tensors: Iterable[Tensor]) -> tuple[Value, ...]:
    """What of the graph went in: the tensors that hang on something, and the containers they came in."""
    kept = [tensor for tensor in tensors if tensor.roots]
    if not kept:
        return ()
    return (*kept, *(s for s in sources if isinstance(s, (Collection, Mapping))))


def ancestry(value: Value | None, without: AbstractSet[int] = frozenset()) -> dict[int, Value]:
    """A tensor and everything of its graph it was computed from, by identity, but for what is reached only through
    those that are left out.
    """
    found: dict[int, Value] = {}
    stack: list[Value] = parts([value])
    while stack and len(found) < ANCESTORS:
        part = stack.pop()
        if id(part) not in found and id(part) not in without:
            found[id(part)] = part
            if isinstance(part, Tensor):
                stack.extend(part.sources)
    return found


def unrecorded(it: Interpreter, result: Tensor, place: Place) -> Tensor:
    """A result computed without recording hangs on nothing."""
    if it.recording is False and (result.roots or result.mystery):
        cut = Cut(it.recording_context or "no_grad", place, result.roots, result.cuts)
        result.roots, result.mystery, result.cuts, result.sources = frozenset(), False, (*result.cuts, cut), ()
    elif it.recording is None:
        result.mystery = True
    return result


def cut(it: Interpreter, value: Value, kind: str, place: Place) -> Value:
    """`value.detach()` and kin."""
    if isinstance(value, Choice):
        return cut(it, value.options[0], kind, place)
    formula = ranges.formula_of(value) if kind in ("detach", "data", "tensor") else None
    dtype = precision.NUMBER if kind in ("float", "item") else precision.dtype_of(value)
    if isinstance(value, Tensor):
        new = (Cut(kind, place, value.roots, value.cuts),) if value.roots or value.mystery or value.parameter else ()
        return Tensor(
            roots=frozenset(), cuts=(*value.cuts, *new), mystery=False, form=value.form, hint=value.hint,
            loss=value.loss,
            divided=value.divided, place=place, formula=formula, dtype=dtype,
        )  # fmt: skip
    if isinstance(value, Unknown):
        new = (Cut(kind, place),) if carries_graph(value) else ()
        return Tensor(
            roots=frozenset(), cuts=new, mystery=False, hint=value.hint, place=place, formula=formula, dtype=dtype
        )
    return value


def switch(wanted: Value) -> bool | None:
    """What `requires_grad` is set to, if no setting decides it."""
    return bool(wanted.value) if isinstance(wanted, Constant) and not wanted.default else None


SAVES_ITS_OUTPUT = frozenset({"sigmoid", "tanh", "softmax", "log_softmax", "exp"})


def changed_in_place(it: Interpreter, tensor: Value, operation: str, place: Place) -> None:
    """Keep it as a fact where the backward of what made `tensor` needs the value that is overwritten."""
    if not isinstance(tensor, Tensor) or it.recording is not True or not tensor.roots or tensor.form is None:
        return
    direct = tensor.form.place == tensor.place and tensor.form.kind in SAVES_ITS_OUTPUT
    if direct and it.once("in place", place):
        it.facts.in_place.append(InPlace(operation, tensor, tensor.form.kind, place))


def require_grad(it: Interpreter, tensor: Tensor, wanted: Value, place: Place) -> None:
    """`tensor.requires_grad = …`: a parameter is frozen or freed, a plain tensor becomes a leaf."""
    trainable = switch(wanted)
    if tensor.parameter:
        it.emit(Freeze(place, it.frame.function, tensor.owner or tensor, trainable))
    elif trainable and not tensor.roots and not tensor.mystery and not tensor.cuts and not tensor.attribute:
        tensor.roots, tensor.attribute, tensor.parameter, tensor.owner = frozenset((tensor,)), "leaf", True, tensor
    elif trainable:
        it.emit(Freeze(place, it.frame.function, tensor, True))


def outside(it: Interpreter, values: Iterable[Value | None], name: str, place: Place) -> Tensor | None:
    """What numpy computes from tensors that were cut for it: a constant, which remembers what it was computed from."""
    given = [part for part in parts(values) if isinstance(part, Tensor) and part.cuts and not part.roots]
    if not given:
        return None
    lost: frozenset[Value] = frozenset().union(*(cut.lost for part in given for cut in part.cuts))
    result = derive(it, given, place)
    result.cuts = (*result.cuts, Cut(f"computed {name}", place, lost))
    result.form, result.chain, result.loss = None, None, None
    return result


def _added(left: Value, right: Value) -> tuple[Cut, ...]:
    """What was computed outside of the graph and is now only added to something on it."""
    for dead, live in ((left, right), (right, left)):
        if isinstance(dead, Tensor) and isinstance(live, Tensor) and live.roots and not dead.roots and not dead.mystery:
            last = dead.cuts[-1] if dead.cuts else None
            if last is not None and (last.kind.startswith("computed ") or last.kind == "grad"):
                return (Cut("added " + last.kind.removeprefix("computed "), last.place, last.lost),)
    return ()


def numbers(values: Iterable[Value]) -> bool:
    """Whether nothing but numbers and samples that were taken from tensors went in: `env.step(action.item())`."""
    return all(
        isinstance(v, Tensor)
        and not v.roots
        and not v.mystery
        and v.cuts
        and v.cuts[-1].kind in ("item", "tolist", "numpy", "float", "sample")
        for v in values
    )


def combine(it: Interpreter, op: str, left: Value, right: Value, place: Place) -> Value:
    """`left op right`."""
    result = _combined(it, op, left, right, place)
    ranges.operation(it, op, [left, right], result, place)
    return result


def _combined(it: Interpreter, op: str, left: Value, right: Value, place: Place) -> Value:
    tensors = [v for v in (left, right) if isinstance(v, (Tensor, Choice)) and parts([v])]
    if not any(isinstance(v, Tensor) for v in parts([left, right])):
        unknowns = tuple(v for v in (left, right) if isinstance(v, Unknown))
        hint = unknowns[0].hint if unknowns else ""
        touched = tuple(t for u in unknowns for t in (u, *u.touched) if carries_graph(t))
        scalers = tuple(t for u in unknowns for t in u.touched if role(t) == "scaler")
        unseen = it.unknown(hint, "call" if touched else "value", (*touched, *scalers))
        born = [it.births[id(u)] for u in unknowns if id(u) in it.births]
        if born:
            it.born(unseen, max(born))
        return unseen
    scaled = isinstance(left, Tensor) != isinstance(right, Tensor)
    chain = None
    if op == "@":
        chain = _product(left, right, place)
    elif op == "+" and isinstance(left, Tensor) and isinstance(right, Tensor):
        chain = _bias(left, right, place) or _residual(left, right, place)
    elif op == "*" and isinstance(left, Tensor) and isinstance(right, Tensor):
        chain = _gate(left, right, place)
    single = left if isinstance(left, Tensor) else right if isinstance(right, Tensor) else None
    if single is not None and scaled and op in ("*", "/", "+", "-"):
        other = right if single is left else left
        kind = "scale" if op in ("*", "/") else "shift" if isinstance(other, Constant) else "add"
        chain = (
            Operation(kind, other, place, single.chain, depth=_depth(single.chain) + 1)
            if single.chain is not None
            else None
        )
    result = derive(it, [left, right], place, op=chain)
    if chain is None:
        result.chain = Operation("unknown", None, place, None) if tensors else None
    if op in ("+", "-"):
        result.cuts = (*result.cuts, *_added(left, right))
    bootstraps.note(it, op, left, right, result, place)
    result.made = _scaled(op, left, right) or _scaled(op, right, left)
    losses = [v.loss for v in (left, right) if isinstance(v, Tensor) and v.loss is not None]
    result.loss = losses[0] if losses else None
    if op in ("/", "*") and isinstance(left, Tensor):
        result.divided = result.divided or op == "/" or (number(right) or 1.0) < 1.0 or not isinstance(right, Constant)
    elif op == "*" and isinstance(right, Tensor):
        result.divided = result.divided or (number(left) or 1.0) < 1.0 or not isinstance(left, Constant)
    # A constant times, or a shift of, logits are still logits; probabilities are not kept.
    if single is not None and single.form is not None and single.form.kind in ("logits", "linear") and scaled:
        result.form = single.form
    elif op in ("+", "-", "@"):
        result.form = _linear(op, left, right, chain, place)
    return result


def _linear(op: str, left: Value, right: Value, chain: Operation | None, place: Place) -> Form | None:
    """What a layer gave raw is no other for a bias, another raw output added to it, or a matrix that mixes its rows."""
    sides = [side for side in (left, right) if isinstance(side, Tensor)]
    raw = [s.form for s in sides if s.form is not None and s.form.kind in ("logits", "linear")]
    if op == "@":
        own = chain is not None and chain.kind == "linear"
        return Form("linear", place) if raw or own else None
    biases = [side for side in sides if side.parameter]
    return raw[0] if raw and len(raw) + len(biases) == len(sides) == 2 else None


def _depth(chain: Operation | None) -> int:
    return chain.depth if chain is not None else 0


def _product(left: Value, right: Value, place: Place) -> Operation | None:
    """`x @ weight` and `weight @ x` of an own parameter are a linear layer."""
    for matrix, source, transposed in ((right, left, False), (left, right, True)):
        if isinstance(matrix, Tensor) and matrix.parameter and matrix.made is not None:
            base = source.chain if isinstance(source, Tensor) else None
            subject: Value = Layer("transposed", [matrix], {}, place) if transposed else matrix
            return Operation("linear", subject, place, base, depth=_depth(base) + 1)
    return None


def _bias(left: Tensor, right: Tensor, place: Place) -> Operation | None:
    """`x + bias` of an own parameter."""
    for vector, source in ((right, left), (left, right)):
        if vector.parameter and vector.chain is None and source.chain is not None:
            return Operation("bias", vector, place, source.chain, depth=_depth(source.chain) + 1)
    return None


def _gate(left: Tensor, right: Tensor, place: Place) -> Operation | None:
    """`x * scale` of an own parameter, one factor a unit."""
    for vector, source in ((left, right), (right, left)):
        if vector.parameter and vector.chain is None and source.chain is not None and not source.parameter:
            return Operation("gate", vector, place, source.chain, depth=_depth(source.chain) + 1)
    return None


def _residual(left: Tensor, right: Tensor, place: Place) -> Operation | None:
    """`x + f(x)`: one chain runs through the other's end."""
    a, b = left.chain, right.chain
    if a is None and b is None:
        return None
    for inner, outer in ((a, b), (b, a)):
        current = outer
        steps = 0
        while current is not None and steps < 400:
            if current is inner:
                return Operation("residual", None, place, outer, inner, _depth(outer) + 1)
            current, steps = current.previous, steps + 1
    return Operation("add", None, place, a or b, b if a is not None else None, _depth(a or b) + 1)


def fresh(it: Interpreter, name: str, arguments: list[Value], keywords: dict[str, Value], place: Place) -> Tensor:
    """`torch.randn(n, m)` and kin: what it was made by is kept, for a parameter made of it."""
    how = Initialiser(name, arguments, keywords, place)
    return Tensor(mystery=False, place=place, hint=name, made={"weight": how, "shape": how})


def _scaled(op: str, tensor: Value, factor: Value) -> dict[str, Value] | None:
    """What a fresh tensor was made by, times a constant."""
    if not isinstance(tensor, Tensor) or tensor.made is None or tensor.parameter or isinstance(factor, Tensor):
        return None
    how, times = tensor.made["weight"], number(factor)
    if not isinstance(how, Initialiser) or times is None or op not in ("*", "/") or (op == "/" and times == 0.0):
        return {**tensor.made, "weight": UNKNOWN_START}
    before = number(how.keywords.get("scale", Constant(1.0))) or 1.0
    scale = Constant(before * times if op == "*" else before / times)
    scaled = Initialiser(how.kind, how.arguments, {**how.keywords, "scale": scale}, how.place)
    return {**tensor.made, "weight": scaled}


def activation(
    it: Interpreter, kind: str, source: Value, place: Place, dim: Value | None = None, how: Value | None = None
) -> Tensor:
    """softmax, sigmoid, relu … of a tensor; `how` is the layer or call with its settings."""
    base = source.chain if isinstance(source, Tensor) else None
    op = Operation(kind, how, place, base, depth=_depth(base) + 1)
    result = derive(it, [source], place, op=op)
    result.form = Form(kind, place, integer(dim))
    result.loss = None
    ranges.operation(it, kind, [source], result, place)
    if not parts([source]):
        result.mystery = False
    return result


def layered(
    it: Interpreter, kind: str, layer: Value, sources: Iterable[Value | None], place: Place, form: str = ""
) -> Tensor:
    """The output of a module with parameters."""
    items = list(sources)
    first = next((s for s in items if isinstance(s, Tensor)), None)
    base = first.chain if first is not None else None
    op = Operation(kind, layer, place, base, depth=_depth(base) + 1)
    result = derive(it, items, place, op=op)
    result.roots = united([result.roots, frozenset((layer,))])
    result.mystery = False if result.roots else result.mystery
    result.form = Form(form, place) if form else None
    result.dtype = precision.layered(it, kind, layer)
    result.shape = shaping.layered(kind, layer, items[0] if items else None)
    ranges.leaf(result, EVERYTHING if form else UNKNOWN, kind)
    result.loss = None
    result.hint = ""
    return unrecorded(it, result, place)


def named_output(whole: Tensor, name: str, place: Place) -> Form | None:
    """What `output.logits` of a network that cannot be seen is: transformers returns raw scores under that name."""
    unseen = whole.chain is not None and whole.chain.kind == "unknown"
    return Form("logits", place) if name == "logits" and unseen else None


def as_tensor(value: Value | None) -> Tensor | None:
    """The tensor behind a value, alternatives joined."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Choice):
        found = [option for option in value.options if isinstance(option, Tensor)]
        return join_tensors(found) if len(found) == len(value.options) else None
    return None
