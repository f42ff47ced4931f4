"""What a check may be told: its rule's options with the user's values in place of the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Value = bool | int | float | str | list[str]


class Options(Mapping[str, Value]):
    """The options of one rule by name, plus `strict`.

    The catalogue has checked names and types before a check sees them, so the typed readers raise only on a mistake in
    the check itself: KeyError for an option its YAML does not declare, TypeError for one declared with another type.
    """

    def __init__(self, values: Mapping[str, Value] | None = None, *, strict: bool = False) -> None:
        self._values = dict(values or {})
        self.strict = strict
        """Whether findings that hold on some path only (`maybe`) are wanted too."""

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def number(self, name: str) -> float:
        """An option declared as `float` or `int`."""
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"option {name} is not a number")
        return value

    def integer(self, name: str) -> int:
        """An option declared as `int`."""
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"option {name} is not an integer")
        return value

    def flag(self, name: str) -> bool:
        """An option declared as `bool`."""
        value = self._values[name]
        if not isinstance(value, bool):
            raise TypeError(f"option {name} is not a flag")
        return value

    def text(self, name: str) -> str:
        """An option declared as `str`."""
        value = self._values[name]
        if not isinstance(value, str):
            raise TypeError(f"option {name} is not a string")
        return value

    def names(self, name: str) -> list[str]:
        """An option declared as `list`: strings."""
        value = self._values[name]
        if not isinstance(value, list):
            raise TypeError(f"option {name} is not a list")
        return value
