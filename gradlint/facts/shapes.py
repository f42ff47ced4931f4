"""Shapes of tensors, as far as the code tells them."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """The sizes of a tensor's last dimensions, None where unseen.

    `open`: more dimensions may stand in front; `batched`: the first of all is the batch.
    """

    sizes: tuple[int | None, ...]
    open: bool = False
    batched: bool = False

    @property
    def least(self) -> int:
        """How many dimensions there are at least."""
        return len(self.sizes) + (self.open and self.batched)

    def where(self, dim: int) -> int | None:
        """The place in `sizes` of a dimension as the code counts it; None where that cannot be told."""
        if dim < 0:
            return dim + len(self.sizes) if -dim <= len(self.sizes) else None
        return dim if not self.open and dim < len(self.sizes) else None

    def __str__(self) -> str:
        names = ["N" if index == 0 else "?" for index in range(len(self.sizes))]
        known = [str(size) if size is not None else name for size, name in zip(self.sizes, names, strict=True)]
        text = ["…", *known] if self.open and not self.batched else ["N", *known] if self.open else known
        return f"({', '.join(text)}{',' if len(text) == 1 else ''})"


BATCH = Shape((), True, True)
"""Anything with a batch in front."""


def without(shape: Shape, dim: int, keep: bool = False) -> Shape | None:
    """A dimension reduced away, or kept with size 1; behind the batch, the batch stays."""
    place = shape.where(dim)
    if place is None:
        return BATCH if shape.open and shape.batched and dim > 0 else None
    middle = (1,) if keep else ()
    first = place == 0 and not shape.open
    return shape._replace(
        sizes=(*shape.sizes[:place], *middle, *shape.sizes[place + 1 :]), batched=shape.batched and not first
    )


def inserted(shape: Shape, dim: int) -> Shape | None:
    """A dimension of size 1 put in before `dim`, as `unsqueeze` counts."""
    place = dim + len(shape.sizes) + 1 if dim < 0 else dim
    if shape.open and shape.batched and dim > 0:
        return BATCH
    if place < 0 or place > len(shape.sizes) or (shape.open and dim >= 0):
        return None
    front = place == 0 and not shape.open
    return shape._replace(sizes=(*shape.sizes[:place], 1, *shape.sizes[place:]), batched=shape.batched and not front)


def squeezed(shape: Shape) -> Shape | None:
    """Every dimension of size 1 removed; sizes that cannot be seen are taken to be larger."""
    return None if shape.open else shape._replace(sizes=tuple(size for size in shape.sizes if size != 1))


def swapped(shape: Shape, first: int, second: int) -> Shape | None:
    """Two dimensions exchanged."""
    one, other = shape.where(first), shape.where(second)
    if one is None or other is None:
        return None
    sizes = list(shape.sizes)
    sizes[one], sizes[other] = sizes[other], sizes[one]
    return Shape(tuple(sizes), shape.open, shape.batched and shape.open)


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The shape of an element-wise result; None where either is open."""
    if a.open or b.open:
        return a if a == b else None
    longer, shorter = (a, b) if len(a.sizes) >= len(b.sizes) else (b, a)
    padded = (1,) * (len(longer.sizes) - len(shorter.sizes)) + shorter.sizes
    pairs = zip(longer.sizes, padded, strict=True)
    return Shape(tuple(y if x == 1 else x if y == 1 else (x or y) for x, y in pairs), batched=longer.batched)


def crossed(a: Shape | None, b: Shape | None) -> bool:
    """Whether one is a column (N, 1) and the other a row (N,), which broadcast to (N, N)."""
    return a is not None and b is not None and ((_column(a) and _row(b)) or (_column(b) and _row(a)))


def is_line(shape: Shape) -> bool:
    """Whether it is a column (N, 1) or a row (N,)."""
    return _column(shape) or _row(shape)


def _column(shape: Shape) -> bool:
    if not shape.sizes or shape.sizes[-1] != 1:
        return False
    return shape.open or (len(shape.sizes) > 1 and any(size != 1 for size in shape.sizes[:-1]))


def _row(shape: Shape) -> bool:
    return not shape.open and len(shape.sizes) == 1 and shape.sizes[0] != 1


def crossing(a: Shape, b: Shape) -> str:
    """The shape that a column and a row broadcast to, in words."""
    row, column = (a, b) if _row(a) else (b, a)
    rows = column.sizes[-2] if len(column.sizes) > 1 else None
    return f"({rows if rows is not None else 'N'}, {row.sizes[0] if row.sizes[0] is not None else 'N'})"
