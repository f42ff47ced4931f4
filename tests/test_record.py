"""A record is what the dataclass would be."""

from __future__ import annotations

import dataclasses
from dataclasses import field

import pytest

from gradlint.facts.record import fields_of, record, replace


@record
class Base:
    """With a place."""

    place: int


@record
class Kind(Base):
    name: str
    items: list[int] = field(default_factory=list)
    value: float | None = None
    _seen: list[int] = field(default_factory=list, init=False)
    count: int = field(default=3, init=False)

    @property
    def doubled(self) -> int:
        return self.place * 2


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class TwinBase:
    place: int


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Twin(TwinBase):
    name: str
    items: list[int] = field(default_factory=list)
    value: float | None = None
    _seen: list[int] = field(default_factory=list, init=False)
    count: int = field(default=3, init=False)


def contents(value: Kind | Twin) -> dict[str, object]:
    return {name: getattr(value, name) for name in fields_of(Kind)}


def test_fields_and_slots_are_those_of_the_dataclass() -> None:
    assert fields_of(Kind) == tuple(each.name for each in dataclasses.fields(Twin))
    assert Kind.__slots__ == Twin.__slots__  # type: ignore[attr-defined]
    assert not hasattr(Kind(1, "a"), "__dict__")
    assert Base.__doc__ == "With a place."


def test_constructor_takes_what_the_dataclass_takes() -> None:
    given = [1, 2]
    for made, twin in (
        (Kind(1, "a"), Twin(1, "a")),
        (Kind(1, name="a", value=2.0), Twin(1, name="a", value=2.0)),
        (Kind(1, "a", given), Twin(1, "a", given)),
    ):
        assert contents(made) == contents(twin)
    assert Kind(1, "a").items is not Kind(1, "a").items
    assert Kind(1, "a", given).items is given
    assert Kind(4, "a").doubled == 8
    with pytest.raises(TypeError):
        Kind(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Kind(1, "a", [], None, [])  # type: ignore[call-arg]


def test_two_records_are_the_same_only_if_they_are_one() -> None:
    made = Kind(1, "a")
    assert made != Kind(1, "a")
    assert made in {made}


def test_a_replaced_field_is_new_and_the_others_are_kept() -> None:
    made = Kind(1, "a", [1])
    made._seen.append(5)
    other = replace(made, value=1.0)
    assert (other.place, other.name, other.value, other._seen) == (1, "a", 1.0, [])
    assert other.items is made.items
    assert made.value is None
