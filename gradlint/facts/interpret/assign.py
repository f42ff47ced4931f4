"""Binding: names, attributes, items, tuples; and what `+=` does to what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.code import Expr, Span
from gradlint.facts.events import Accumulate, ManualUpdate, TakeSnapshot, ZeroGrad
from gradlint.facts.interpret import (
    attributes,
    calls,
    containers,
    expressions,
    initialisers,
    modules,
    ranges,
    tensors,
    writing,
)
from gradlint.facts.merging import merge
from gradlint.facts.roles import last_name, loss_like, role
from gradlint.facts.shapes import BATCH
from gradlint.facts.values import (
    UNKNOWN_START,
    Choice,
    Collection,
    Constant,
    Gradient,
    Instance,
    Layer,
    LocalModule,
    Mapping,
    Method,
    Parameters,
    Place,
    Snapshot,
    Steps,
    Tensor,
    Unknown,
    Value,
    is_module,
    options,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def bind(it: Interpreter, target: Expr, value: Value, at: Span, fresh: bool = False) -> None:
    """`target = value`; `fresh` where a loop binds its target, which replaces nothing."""
    if isinstance(target, code.Name):
        _bind_name(it, target.name, value, at, fresh)
    elif isinstance(target, code.Attribute):
        _bind_attribute(it, target, value, at)
    elif isinstance(target, code.Subscript):
        _bind_item(it, target, value, at)
    elif isinstance(target, code.Sequence):
        _unpack(it, target.items, value, at, fresh)
    elif isinstance(target, code.Star):
        bind(it, target.value, value if isinstance(value, Collection) else Collection("list", [], open=True), at)


def _bind_name(it: Interpreter, name: str, value: Value, at: Span, fresh: bool = False) -> None:
    if isinstance(value, Tensor) and value.attribute == "unseen" and role(Unknown(name)) == "optimizer":
        # `optimizer = make(parameters)`: what an unseen factory made of parameters is what its name says.
        value = it.unknown(name, "call")
    holder = it.scope.holder(name) if not fresh else None
    old = holder.names.get(name) if holder is not None else None
    if old is not None and old is not value and ((is_module(old) and is_module(value)) or _built_again(old, value)):
        it.replaced(None, name, old, value, at)
    it.write(name, value)
    it.call_it(name, value)
    announce(it, name, value, at)


def _built_again(old: Value, new: Value) -> bool:
    """Whether two results come from the same unseen class, and the second was not made of the first."""
    if not (isinstance(old, Unknown) and isinstance(new, Unknown)) or old.origin != "call" or new.origin != "call":
        return False
    return old.maker == new.maker and new.maker[:1].isupper() and old not in new.touched


def _replaced_below(it: Interpreter, owner: Value, name: str, value: Value, at: Span) -> None:
    """`model.classifier[1] = nn.Linear(…)` on an installed model nobody sees into."""
    if not is_module(value):
        return
    if isinstance(owner, Unknown):
        owner = next((t for t in owner.touched if isinstance(t, Layer) and owner in t.children), owner)
        if isinstance(owner, Unknown):
            return
    elif not isinstance(owner, Method):
        return
    while isinstance(owner, Method):
        owner = owner.receiver
    if isinstance(owner, Layer):
        it.replaced(owner, name, Unknown(name, "attribute"), value, at)


def announce(it: Interpreter, name: str, value: Value, at: Span) -> None:
    """A name, attribute or container now keeps a state dict."""
    if isinstance(value, Choice):
        value = next((option for option in value.options if isinstance(option, Snapshot)), value)
    if isinstance(value, Snapshot):
        it.emit(TakeSnapshot(it.place(at), it.frame.function, name, value.module, value.copied, value))
    elif isinstance(value, (Collection, Mapping)):
        for item in value.items if isinstance(value, Collection) else value.items.values():
            if isinstance(item, Snapshot):
                announce(it, name, item, at)


def _bind_attribute(it: Interpreter, target: code.Attribute, value: Value, at: Span) -> None:
    owner = expressions.evaluate(it, target.base)
    name = target.name
    text = writing.text_of(target)
    if name == "grad" and not isinstance(owner, Instance):
        interval = ranges.formula_of(value).interval
        zero = isinstance(value, Tensor) and interval.known and interval.low == interval.high == 0.0
        if zero or (isinstance(value, Constant) and value.value is None):
            it.emit(ZeroGrad(it.place(at), it.frame.function, gradient_owner(owner)))
        else:
            it.grad_edited(gradient_owner(owner), at, not isinstance(value, Gradient))
        return
    if name == "data" and isinstance(owner, (Tensor, Gradient)):
        if isinstance(owner, Gradient):
            it.grad_edited(owner.owner, at, not isinstance(value, Gradient))
        elif owner.parameter:
            it.emit(ManualUpdate(it.place(at), it.frame.function, owner))
            if not it.repeats:
                initialisers.write(it, owner, UNKNOWN_START)
        return
    it.attribute_written(owner, name, value, at, target.at)
    if name == "requires_grad" and isinstance(owner, Tensor):
        tensors.require_grad(it, owner, value, it.place(at))
    if isinstance(owner, Unknown):
        # Two reads of one attribute must agree, also after a write.
        it.journal.write(owner.parts, name, value)
        it.call_it(text, value)
        announce(it, text, value, at)
        return
    _replaced_below(it, owner, name, value, at)
    store: dict[str, Value] | None = None
    if isinstance(owner, Instance):
        store = owner.attributes
        owner.assigned[name] = it.place(at)
        if (
            isinstance(value, Tensor)
            and value.parameter
            and value.owner is None
            and owner.kind in ("module", "lightning")
        ):
            value.owner, value.attribute = owner, name
    elif isinstance(owner, LocalModule):
        store = owner.scope.names
    elif isinstance(owner, Layer):
        modules.set_child(it, owner, name, value, at)
        return
    elif isinstance(owner, Mapping):
        owner.items[name] = value
        return
    if store is None:
        return
    old = store.get(name)
    if old is not None and is_module(old) and is_module(value) and old is not value:
        it.replaced(owner, name, old, value, at)
    it.journal.write(store, name, value)
    it.call_it(text, value)
    announce(it, text, value, at)


def _bind_item(it: Interpreter, target: code.Subscript, value: Value, at: Span) -> None:
    owner = expressions.evaluate(it, target.base)
    keys = [expressions.evaluate(it, index) for index in target.index]
    text = writing.text_of(target)
    it.call_it(text, value)
    announce(it, text, value, at)
    key = keys[0].value if len(keys) == 1 and isinstance(keys[0], Constant) else None
    if isinstance(owner, (Mapping, Collection)) and containers.leads_to(value, owner):
        owner.open = True
    elif isinstance(owner, Mapping):
        if key is not None:
            owner.items[key] = value
        else:
            owner.open = True
            owner.items.setdefault(f"?{len(owner.items)}", value)
    elif isinstance(owner, Collection):
        if isinstance(key, int) and -len(owner.items) <= key < len(owner.items) and not owner.open:
            owner.items[key] = value
        elif not isinstance(key, int):
            owner.open = True
    elif isinstance(owner, Layer):
        modules.set_child(it, owner, str(key), value, at)
    elif isinstance(owner, Unknown) and key == "lr" and attributes.param_groups_of(owner) is not None:
        it.attribute_written(attributes.param_groups_of(owner) or owner, "lr", value, at)
    elif isinstance(owner, Unknown) and key is not None:
        it.journal.write(owner.parts, f"[{key!r}]", value)
    elif isinstance(owner, Tensor):
        if len(keys) == 1 and isinstance(keys[0], Tensor):
            ranges.operation(it, "masked_fill_", [owner, keys[0], value], owner, it.place(at))
        tensors.changed_in_place(it, owner, "[…] =", it.place(at))
        _written_into(it, target.base, owner, value, at)
    elif isinstance(owner, Gradient):
        calls.record(it, "Gradient.__setitem__", [*keys, value], {}, owner, it.place(at), receiver=owner)
        it.grad_edited(owner.owner, at, not isinstance(value, Gradient))
    _replaced_below(it, owner, text, value, at)
    if (
        isinstance(value, Tensor)
        and value.roots
        and it.repeats
        and isinstance(owner, (Mapping, Collection, Unknown))
        and key is None
    ):
        accumulate(it, writing.text_of(target.base), value, owner, "item", it.place(at))


def _written_into(it: Interpreter, base: Expr, owner: Tensor, value: Value, at: Span) -> None:
    """`outputs[t] = out`: from here on `outputs` was computed from `out` too."""
    if isinstance(base, code.Subscript):
        _written_into(it, base.base, owner, value, at)
    elif isinstance(base, code.Name) and isinstance(value, (Tensor, Unknown)):
        whole = expressions.evaluate(it, base)
        if isinstance(whole, Tensor) and not whole.parameter and whole.attribute in ("", "unseen"):
            blank = not whole.roots and not whole.mystery and not whole.cuts
            parts = [value] if blank else [whole, value]
            made = tensors.derive(it, parts, it.place(at), keep_form=blank, hint=base.name)
            if not blank:
                ranges.operation(it, "masked_fill", [whole, Unknown("mask"), value], made, it.place(at))
            it.write(base.name, made)


def _unpack(it: Interpreter, targets: list[Expr], value: Value, at: Span, fresh: bool = False) -> None:
    from gradlint.facts.interpret.loops import any_element, elements

    if isinstance(value, Choice):
        matching = [o for o in value.options if isinstance(o, Collection) and len(o.items) == len(targets)]
        if len(matching) > 1:
            columns = zip(*(option.items for option in matching), strict=True)
            value = Collection("tuple", [merge(column) for column in columns])
        elif matching:
            value = matching[0]
    items = elements(it, value) if isinstance(value, (Collection, Steps, Layer, Mapping, Instance)) else None
    if isinstance(value, Collection) and items is not None:
        items = list(value.items)
    star = next((index for index, target in enumerate(targets) if isinstance(target, code.Star)), None)
    if items is not None and star is not None and len(items) >= len(targets) - 1:
        after = len(targets) - star - 1
        middle = items[star : len(items) - after]
        items = [*items[:star], Collection("list", middle), *items[len(items) - after :]]
    if items is not None and len(items) == len(targets):
        for target, item in zip(targets, items, strict=True):
            bind(it, target, item, at, fresh)
        return
    counted = loss_like(Unknown(writing.text_of(targets[0]))) if targets else False
    for index, target in enumerate(targets):
        part = part_of(it, value, target, index, any_element)
        if index and counted and isinstance(part, Tensor) and not loss_like(Unknown(writing.text_of(target))):
            # What a network returns beside its own loss may be numbers that only tell how it went.
            part.attribute = part.attribute or "unseen"
        bind(it, target, part, at, fresh)


def part_of(it: Interpreter, value: Value, target: Expr, index: int, any_element: object) -> Value:
    """One of several things unpacked from something unseen; it is known by the name it gets."""
    hint = writing.text_of(target)
    if isinstance(value, Tensor):
        part_of_it = tensors.derive(it, [value], it.place(None), keep_form=True, hint=hint)
        ranges.item(value, part_of_it)
        if index > 0 and value.loss is not None and not loss_like(Unknown(hint)):
            # Statistics beside a loss hold numbers, or tensors; nobody knows.
            part_of_it.roots, part_of_it.mystery, part_of_it.loss, part_of_it.sources = frozenset(), True, None, ()
        return part_of_it
    if isinstance(value, Unknown):
        origin = "item" if value.origin == "item" else "call" if value.origin == "call" else "attribute"
        part = value.parts.get(f"[{index}]")
        if part is None:
            part = Unknown(last_name(hint), origin, _uses(it, hint), value.touched, graph=value.graph)
            part.shape = BATCH if value.shape == BATCH else None
            value.parts[f"[{index}]"] = part
            if id(value) in it.births:
                it.born(part, it.births[id(value)])
        return part
    if isinstance(value, Collection) and value.element is not None:
        return value.element
    return it.unknown(last_name(hint), "item")


def _uses(it: Interpreter, hint: str) -> frozenset[str]:
    return writing.uses_of(it, hint)


def gradient_owner(value: Value) -> Value:
    """Whose gradient `value.grad` is."""
    if isinstance(value, Tensor) and value.owner is not None:
        return value.owner
    if isinstance(value, Parameters) and len(value.owners) == 1:
        return value.owners[0]
    if isinstance(value, Unknown) and value.touched:
        return next((t for t in value.touched if role(t) in ("optimizer", "module", "parameters")), value)
    return value


def augment(it: Interpreter, node: code.Augmented) -> None:
    """`target op= value`."""
    target = node.target
    old = expressions.evaluate(it, target)
    value = expressions.evaluate(it, node.value)
    place = it.place(node.at)
    if isinstance(old, Gradient):
        it.grad_edited(gradient_owner(old.owner), node.at)
        return
    if isinstance(old, Tensor) and (
        old.parameter or (any(cut.kind == "data" for cut in old.cuts) and old.owner is not None)
    ):
        stored = old.parameter and it.recording
        it.emit(ManualUpdate(place, it.frame.function, old, stored, isinstance(value, Gradient)))
        return
    if isinstance(target, code.Subscript) and _in_data(it, target):
        it.emit(ManualUpdate(place, it.frame.function, old))
        return
    both = containers.joined(old, value) if node.op == "+" and isinstance(value, Parameters) else None
    if both is not None:
        new: Value = both
    elif isinstance(old, Parameters) and node.op == "+":
        new = containers.joined(old, value) or Parameters((*old.owners, value), whole=False)
    elif isinstance(old, Collection) and node.op == "+":
        if isinstance(value, Collection):
            old.items.extend(value.items)
            old.open = old.open or value.open
        else:
            old.open = True
        new = old
    elif isinstance(value, Tensor) or isinstance(old, Tensor):
        tensors.changed_in_place(it, old, f"{node.op}=", place)
        new = tensors.combine(it, node.op, old, value, place)
        taken = isinstance(value, Tensor) and bool(value.roots) and not _begun_anew(it, target)
        if taken and node.op == "+" and isinstance(new, Tensor):
            accumulate(it, writing.text_of(target), new, old, "sum", place)
    elif isinstance(old, Constant) and isinstance(value, Constant):
        new = expressions.fold(node.op, old, value) or it.unknown(writing.text_of(target))
        if it.repeats and not it.forwards and not _constructing(it):
            new = it.unknown(writing.text_of(target), "count")
    else:
        touched = tuple(v for v in (old, value) if isinstance(v, (Tensor, Unknown)))
        counted = any(isinstance(option, Unknown) and option.origin == "count" for option in options(old))
        origin = "count" if counted and isinstance(value, Constant) else "value"
        new = it.unknown(last_name(writing.text_of(target)), origin, touched)
    bind(it, target, new, node.at)


def _in_data(it: Interpreter, target: Expr) -> bool:
    """Whether an item of `x.data` is meant, which keeps no graph."""
    while isinstance(target, code.Subscript):
        target = target.base
    return (
        isinstance(target, code.Attribute)
        and target.name == "data"
        and isinstance(expressions.evaluate(it, target), Tensor)
    )


def accumulate(it: Interpreter, name: str, tensor: Tensor, target: Value, how: str, place: Place) -> None:
    """Announce that a name or container takes in a tensor of the graph."""
    own = name.startswith("self.") and not _made_now(it, it.frame.receiver)
    if it.forwards or it.hooked:
        local = isinstance(target, Collection) and any(value is target for value in it.frame.scope.names.values())
        within = "hook" if it.hooked else "forward"
        # An object that the forward makes is new at each call, and so is what its constructor fills.
        outlives = (own and not _constructing(it)) or (it.hooked > 0 and not local)
        it.emit(Accumulate(place, it.frame.function, name, tensor, target, how, outlives, within))
        return
    if how == "sum":
        kept = any(key in it.carried for key in tensors.ancestry(target, it.dropped))
        outlives = kept or (own and not _set(it, target, place))
    else:
        outlives = bool(it.repeats) and it.births.get(id(target)) != it.repeats[-1]
    it.emit(Accumulate(place, it.frame.function, name, tensor, target, how, outlives))


def _made_now(it: Interpreter, receiver: Value | None) -> bool:
    """Whether the forward that runs, or the iteration, has built the object whose attribute takes something in."""
    if it.forwards:
        return id(receiver) in it.inside
    return bool(it.repeats) and it.births.get(id(receiver)) == it.repeats[-1]


def _set(it: Interpreter, value: Value, place: Place) -> bool:
    """Whether the function that runs has put this value into an attribute on its way here."""
    return any(
        write.value is value and write.function == it.frame.function and write.place.at[0] < place.at[0]
        for write in it.facts.writes
    )


def accumulated(it: Interpreter, node: code.Assign, value: Value) -> None:
    """`total = total + loss` takes in what `total += loss` does, and so does `mean = 0.9 * mean + 0.1 * loss`."""
    if not it.repeats or it.forwards:
        return
    target = node.targets[0]
    if _begun_anew(it, target):
        return
    text = writing.text_of(target)
    if text == "…" or not _adds_to(target, node.value):
        return
    old = expressions.evaluate(it, node.targets[0])
    for new in options(value):
        if isinstance(new, Tensor) and new.roots:
            accumulate(it, text, new, old, "sum", it.place(node.at))
            return


def _begun_anew(it: Interpreter, target: Expr) -> bool:
    """Whether each call of the function begins a name of its own anew: it has no loop around this."""
    local = isinstance(target, code.Name) and target.name not in it.scope.outer
    return local and it.frame.loops == len(it.repeats)


def _adds_to(target: Expr, expr: Expr) -> bool:
    """Whether an expression is what a target holds plus something more, on one of the ways it may go."""
    if isinstance(expr, code.Conditional):
        return _adds_to(target, expr.body) or _adds_to(target, expr.orelse)
    if not isinstance(expr, code.Binary):
        return False
    if expr.op == "+" and any(_reads(target, part) or _scales(target, part) for part in (expr.left, expr.right)):
        return True
    return expr.op in ("*", "/") and _adds_to(target, expr.left)


def _scales(target: Expr, expr: Expr) -> bool:
    """Whether an expression is a multiple of what a target holds."""
    if not isinstance(expr, code.Binary) or expr.op not in ("*", "/"):
        return False
    return _reads(target, expr.left) or (expr.op == "*" and _reads(target, expr.right))


def _reads(target: Expr, expr: Expr) -> bool:
    """Whether an expression is what a target holds: `total`, `sums[key]`, `sums.get(key, 0)`."""
    if isinstance(target, code.Subscript) and isinstance(expr, code.Call) and isinstance(expr.func, code.Attribute):
        if expr.func.name != "get" or not expr.arguments or len(target.index) != 1:
            return False
        pairs = ((expr.func.base, target.base), (expr.arguments[0].value, target.index[0]))
        return all(writing.text_of(one) == writing.text_of(other) for one, other in pairs)
    return writing.text_of(target) == writing.text_of(expr)


def without_rebinding(it: Interpreter, node: code.Assign, value: Value) -> Value:
    """`w = w - lr * w.grad`: announced as an update that loses the leaf; the name goes on standing for the leaf."""
    target = node.targets[0]
    pairs = [(target, node.value)]
    if isinstance(target, code.Sequence) and isinstance(node.value, code.Sequence):
        pairs = list(zip(target.items, node.value.items, strict=False))
    kept: list[Value] = []
    for name, new in pairs:
        old = _stepped_leaf(it, name, new)
        if old is not None:
            recording = it.recording
            it.emit(ManualUpdate(it.place(node.at), it.frame.function, old, recording, gradient=True, rebinds=True))
            kept.append(old)
    if not kept or len(kept) != len(pairs):
        return value
    return kept[0] if len(pairs) == 1 else Collection("tuple", kept)


def _stepped_leaf(it: Interpreter, target: Expr, value: Expr) -> Tensor | None:
    if not isinstance(target, code.Name) or not isinstance(value, code.Binary) or value.op not in ("-", "+"):
        return None
    if not isinstance(value.left, code.Name) or value.left.name != target.name:
        return None
    own = (part for part in code.walk(value.right) if isinstance(part, code.Attribute) and part.name == "grad")
    if not any(isinstance(part.base, code.Name) and part.base.name == target.name for part in own):
        return None
    old = expressions.evaluate(it, value.left)
    return old if isinstance(old, Tensor) and old.parameter else None


def _constructing(it: Interpreter) -> bool:
    return it.frame.function.endswith("__init__")


def gathered(it: Interpreter, name: str, value: Value, target: Value, how: str, place: Place) -> None:
    """A loss that joins a container or another loss, where that happens again and again."""
    if isinstance(value, Tensor) and value.roots and (it.repeats or it.forwards or it.hooked):
        accumulate(it, name, value, target, how, place)
