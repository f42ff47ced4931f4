"""What a name stands for where branches meet: the same thing, one of several, or what all of them have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradlint.facts.formulas import joined
from gradlint.facts.values import NONE, Choice, Constant, Operation, Tensor, Unknown, Value, constant, number, options


def merge(values: Iterable[Value | None]) -> Value:
    """What a name stands for after branches that left it as `values`: None gives way to anything known."""
    distinct = list({id(option): option for value in values for option in options(value)}.values())
    if len(distinct) > 1:
        known = [v for v in distinct if not (isinstance(v, Constant) and v.value is None)] or [NONE]
        for tensor in known if len(known) < len(distinct) else ():
            if isinstance(tensor, Tensor):
                tensor.optional = True
        distinct = known
    if len(distinct) == 1:
        return distinct[0]
    if not distinct:
        return Unknown()
    if all(isinstance(v, Constant) for v in distinct) and len({repr(constant(v)) for v in distinct}) == 1:
        return distinct[0]
    tensors = [v for v in distinct if isinstance(v, Tensor)]
    if tensors and all(isinstance(v, Tensor) or number(v) is not None for v in distinct):
        tensor = join_tensors(tensors)
        tensor.optional = any(part.optional for part in tensors)
        return tensor
    if all(isinstance(v, Unknown) for v in distinct):
        first = distinct[0]
        assert isinstance(first, Unknown)
        touched = tuple(dict.fromkeys(t for v in distinct if isinstance(v, Unknown) for t in v.touched))[:8]
        graph = any(isinstance(v, Unknown) and v.graph for v in distinct)
        formula = joined([v.formula for v in distinct if isinstance(v, Unknown)])
        return Unknown(first.hint, "merge", first.uses, touched, graph=graph, formula=formula)
    if len(distinct) > 6:
        return Unknown(graph=any(isinstance(v, Tensor) and bool(v.roots) for v in distinct))
    return _Interned.choice(distinct)


class _Interned:
    """Choices by their options, so that the same merge made twice is the same thing."""

    table: dict[tuple[int, ...], Choice] = {}

    @classmethod
    def choice(cls, distinct: list[Value]) -> Choice:
        key = tuple(sorted(id(value) for value in distinct))
        found = cls.table.get(key)
        if found is None:
            found = cls.table[key] = Choice(tuple(distinct))
        return found


def forget_choices() -> None:
    """Drop interned choices; called between files so that memory stays flat."""
    _Interned.table.clear()


def united(sets: Sequence[frozenset[Value]]) -> frozenset[Value]:
    """The union of all sets; the largest itself where it holds the others, so that a long chain shares one."""
    if not sets:
        return frozenset()
    largest = max(sets, key=len)
    for found in sets:
        if found is not largest and not found <= largest:
            return largest.union(*sets)
    return largest


def _one_chain(chains: list[Operation | None]) -> Operation | None:
    """What was done on every way, or on one with dropout and on the others without: `if p > 0: x = dropout(x)`."""
    kept: list[Operation | None] = []
    for chain in chains:
        while chain is not None and chain.kind == "dropout":
            chain = chain.previous
        kept.append(chain)
    if any(chain is not kept[0] for chain in kept):
        return None
    return next((chain for chain in chains if chain is not kept[0]), kept[0])


def join_tensors(tensors: list[Tensor]) -> Tensor:
    """A tensor that is one of several: reached parameters add up, a form or cut holds only if all agree."""
    first = tensors[0]
    if len(tensors) == 1:
        return first
    roots = united([t.roots for t in tensors])
    scaled = all(t.attribute == "scaled" for t in tensors)
    unseen = bool(roots) and all(t.attribute == "unseen" for t in tensors if t.roots)
    likely = all(t.attribute == "log_prob" for t in tensors)
    forms = {t.form.kind if t.form else "" for t in tensors}
    return Tensor(
        roots=roots,
        cuts=tuple(dict.fromkeys(c for t in tensors for c in t.cuts)) if all(t.cuts for t in tensors) else (),
        mystery=any(t.mystery for t in tensors),
        form=first.form if len(forms) == 1 else None,
        chain=_one_chain([t.chain for t in tensors]),
        loss=first.loss if all(t.loss is first.loss for t in tensors) else None,
        hint=first.hint,
        state_of=next((t.state_of for t in tensors if t.state_of), None),
        divided=any(t.divided for t in tensors),
        parameter=all(t.parameter for t in tensors),
        attribute="scaled" if scaled else "unseen" if unseen else "log_prob" if likely else "",
        owner=first.owner if scaled else None,
        place=first.place,
        formula=joined([t.formula for t in tensors]),
        dtype=first.dtype if all(t.dtype == first.dtype for t in tensors) else "",
        shape=first.shape if all(t.shape == first.shape for t in tensors) else None,
        sources=() if any(t.cuts and not t.roots for t in tensors) else tuple(t for t in tensors if t.roots),
    )
