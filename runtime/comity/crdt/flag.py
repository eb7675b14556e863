"""A flag: on or off, and of concurrent settings 'on' wins.

Owns: the merge law of a flag, its bytes, its Python face. May not know: causality beyond
handing it to `writes`, which fields an actor has.

    operation   00 off | 01 on     the last setting of the turn
    state       01 if it is on, else nothing

A flag is a set with one possible element: switching on adds it, switching off takes away the
additions that its turn has seen.
Source: API 'Replicated types'; Shapiro et al. 2011, section 3.3 (add wins).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, overload

from comity.base.canonical import Malformed, Reader
from comity.base.errors import UsageError
from comity.crdt.codec import wrong
from comity.crdt.writer import OpenTurn
from comity.crdt.writes import ABSENT, Writes

if TYPE_CHECKING:
    from comity.crdt.descriptor import FieldOptions
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["Flag", "FlagLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""


class FlagLaw:
    """A flag: off at first; of concurrent settings 'on' wins."""

    __slots__ = ("_entered", "_operation", "_writer", "label", "tag", "writes")

    def __init__(self, label: str, writer: OpenTurn, writes: Writes) -> None:
        """Start off."""
        self.label = label
        self.tag = writes.tag
        self.writes = writes
        self._writer = writer
        self._operation = b""
        self._entered = _OUT

    def read(self) -> bool:
        """Tell whether it is on."""
        return bool(self.writes.values)

    def assign(self, value: object) -> None:
        """Switch on or off in the open turn.

        Raises: UsageError if `value` is no bool.
        """
        if type(value) is not bool:
            if not isinstance(value, Flag):
                error = wrong(value, "Flag", "pass True or False, or bool(value)")
                raise UsageError(f"{self.label}: {error}")
            value = value.value
        if self._entered != self._writer.turn:
            self._writer.enter(self)
        self._writer.charge(self, 1 - len(self._operation))
        self._operation = b"\x01" if value else b"\x00"
        self.writes.put(self._writer.turn, None, True if value else ABSENT)

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn
        self.writes.begin()

    def commit(self) -> bytes:
        """Keep the turn's setting."""
        operation, self._operation = self._operation, b""
        self._entered = _OUT
        self.writes.commit()
        return operation

    def rollback(self) -> None:
        """Take back the turn's setting."""
        self._operation = b""
        self._entered = _OUT
        self.writes.rollback()

    def parse(self, reader: Reader) -> bool:
        """Read one setting."""
        byte = reader.u8()
        if byte > 1:
            raise Malformed(f"a flag is set to {byte}")
        return byte == 1

    def fold(self, turn: int, parsed: bool) -> tuple[()]:  # noqa: FBT001  (what `parse` gave)
        """Switch on or off."""
        self.writes.fold(turn, None, True if parsed else ABSENT)
        return ()

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        self.writes.bound(turn)

    def changed(self, turn: int) -> tuple[()] | None:
        """Count a turn or no longer."""
        return () if self.writes.changed(turn) else None

    def encode(self) -> bytes:
        """Return 01 if it is on."""
        return b"\x01" if self.writes.values else b""

    def snapshot(self) -> bool:
        """Tell whether it is on."""
        return self.read()

    def freeze(self, out: Freezer) -> None:
        """Write all writes."""
        self.writes.freeze(out, None, None)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.writes.thaw(data, None, None)

    def check(self, settled: int) -> None:
        """Assert the invariants of the writes."""
        self.writes.check(settled)


class Flag:
    """On or off: of concurrent settings 'on' wins; off at first.

    `self.done = True` writes, `if self.done:` reads. It compares and prints as a bool does.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its value changes

    def __init__(self, law: FlagLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: Flag | bool) -> None: ...  # noqa: FBT001

    @property
    def value(self) -> bool:
        """Whether it is on."""
        return self._law.read()

    def enable(self) -> None:
        """Switch on; doing so again guards it against a concurrent switching off."""
        self._law.assign(value=True)

    def disable(self) -> None:
        """Switch off; whoever switches on at the same time wins."""
        self._law.assign(value=False)

    def __bool__(self) -> bool:
        return self._law.read()

    def __eq__(self, other: object) -> bool:
        return self._law.read() == (other.value if isinstance(other, Flag) else other)

    def __str__(self) -> str:
        return str(self._law.read())

    def __format__(self, spec: str) -> str:
        return format(self._law.read(), spec)

    def __repr__(self) -> str:
        return f"Flag({self._law.read()})"
