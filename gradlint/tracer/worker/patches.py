"""Replace attributes of other people's modules and put every one of them back."""

from __future__ import annotations

from typing import Any

_ABSENT = object()


class Patches:
    """Every attribute set through it is restored by `undo`, last first."""

    def __init__(self) -> None:
        self._saved: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> Any:
        """Set `owner.name` and return what was there (inherited values count as absent, and are deleted on undo)."""
        own = vars(owner).get(name, _ABSENT)
        self._saved.append((owner, name, own))
        before = getattr(owner, name, None)
        setattr(owner, name, value)
        return before

    def undo(self) -> None:
        while self._saved:
            owner, name, value = self._saved.pop()
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
