"""What a `Map[K, V]` is at run time if V is a replicated type.

Owns: the Python face of it. May not know: causality, bytes, turns.
Source: API 'Replicated types'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from comity.base.errors import UsageError
from comity.crdt.nested_law import NestedLaw
from comity.crdt.views import Map

__all__ = ["NestedMap"]

K = TypeVar("K")
V = TypeVar("V")


class NestedMap(Map[K, V]):
    """A map of replicated values: each is changed in its place, `self.scores["ann"] += 1`.

    Looking up a key that is absent gives an empty value, and its first write makes the key
    present. `in`, `get`, `len` and iteration tell what is present.
    """

    __slots__ = ("_nested",)

    def __init__(self, law: NestedLaw) -> None:  # pyright: ignore[reportMissingSuperCall]
        """Show the state of one field."""
        self._nested = law

    def conflicts(self, key: K) -> tuple[V, ...]:
        """Return nothing: what is under a key merges, so no value loses."""
        _ = key
        return ()

    def get(self, key: K, default: Any = None) -> Any:  # noqa: ANN401  (as in Mapping)
        """Return what is under a key if it is present, else `default`."""
        return self._nested.view(key) if key in self._nested.writes.values else default

    def setdefault(self, key: K, default: Any = None) -> V:  # noqa: ANN401
        """Return what is under a key; make it present first, with `default` if given."""
        if key not in self._nested.writes.values:
            if default is None:
                self._nested.touch(key)
            else:
                self._nested.put(key, default)
        return self[key]

    def pop(self, key: K, default: Any = None) -> NoReturn:  # noqa: ANN401
        """Refuse: what it would return is no longer there."""
        _ = default
        raise UsageError(
            f"{self._nested.label}: read [{key!r}] first, then delete it with del: what pop "
            "would return is empty once it is deleted"
        )

    def popitem(self) -> NoReturn:
        """Refuse, as `pop` does."""
        raise UsageError(f"{self._nested.label}: read an item first, then delete it with del")

    def __getitem__(self, key: K) -> V:
        value: V = self._nested.view(key)
        return value

    def __setitem__(self, key: K, value: Any) -> None:  # noqa: ANN401  (typed in Map)
        self._nested.put(key, value)

    def __delitem__(self, key: K) -> None:
        if key not in self._nested.writes.values:
            raise KeyError(key)
        self._nested.delete(key)

    def __contains__(self, key: object) -> bool:
        return key in self._nested.writes.values

    def __iter__(self) -> Iterator[K]:
        return iter(self._nested.writes.order())

    def __len__(self) -> int:
        return len(self._nested.writes.values)

    def clear(self) -> None:
        """Delete what is there; what others write concurrently stays."""
        self._nested.clear()
