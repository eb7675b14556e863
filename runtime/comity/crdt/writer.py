"""The open turn: who may write, which fields it wrote, how large it has become.

Owns: `Writer`, shared by all fields of one actor. May not know: what a field does.

    closed --begin--> open --enter, charge--> open --end--> closed

A field enters itself at its first write of a turn; whatever it records after that counts
towards the size of the turn, so that a turn that is too large fails at the write that makes
it so, and is rolled back like any other.
Source: ARCHITECTURE 'The way of a message', PROTOCOL section 2.
"""

from __future__ import annotations

from typing import Final, Protocol

from comity.base.errors import UsageError
from comity.base.ids import ZERO_ID, DeviceId
from comity.base.limits import TURN_BYTES_MAX

__all__ = ["CLOSED", "GROUP_BYTES_MAX", "WRITE_IN_A_TURN", "Entrant", "Writer"]

CLOSED: Final = -1
"""The turn of a writer without an open turn; a field that is in none has -2."""

GROUP_BYTES_MAX: Final = 16
"""What a field costs in a turn beside its operations: tag, length, heads of runs."""

WRITE_IN_A_TURN: Final = "write in a method that is run by tell or ask, or in on_create"
"""What to do instead of writing while no turn is open."""


class Entrant(Protocol):
    """A field's state, as far as the turns of this device concern it."""

    @property
    def tag(self) -> bytes:
        """The field's tag, 4 bytes."""
        ...

    @property
    def label(self) -> str:
        """The field as its user knows it, for example "Map 'items'"."""
        ...

    def enter(self, turn: int) -> None:
        """Begin to journal: the turn's first write comes now."""
        ...

    def commit(self) -> bytes:
        """Keep the open turn's writes and return them encoded; empty if there are none."""
        ...

    def rollback(self) -> None:
        """Take back the open turn's writes."""
        ...


class OpenTurn(Protocol):
    """What a field's state asks when it is written: `Writer`, or a field around it."""

    @property
    def bytes_left(self) -> int:
        """What the turn may still grow by."""
        ...

    @bytes_left.setter
    def bytes_left(self, size: int) -> None: ...

    @property
    def turn(self) -> int:
        """Number of the open turn; `CLOSED` if none is."""
        ...

    def enter(self, field: Entrant) -> None:
        """Let a field join the open turn. Raises: UsageError if it may not."""
        ...

    def charge(self, field: Entrant, size: int) -> None:
        """Count `size` more bytes. Raises: UsageError if the turn would become too large."""
        ...


class Writer:
    """The turn that is open, if one is.

    device: whose turns these are. role: as what: 0 reader, 1 writer, 2 admin.
    """

    __slots__ = ("bytes_left", "device", "entered", "hint", "may_write", "role", "turn")

    def __init__(self) -> None:
        """Start without a turn."""
        self.turn = CLOSED
        self.may_write = True
        self.role = 0
        self.hint = WRITE_IN_A_TURN
        self.device = DeviceId(ZERO_ID)
        self.entered: list[Entrant] = []
        self.bytes_left = 0

    def begin(self, turn: int) -> None:
        """Open a turn."""
        assert self.turn == CLOSED
        assert turn >= 0
        self.turn = turn
        self.bytes_left = TURN_BYTES_MAX

    def end(self) -> None:
        """Close the turn, whatever became of it."""
        assert self.turn != CLOSED
        self.turn = CLOSED
        if self.entered:
            self.entered.clear()

    def enter(self, field: Entrant) -> None:
        """Let a field join the open turn.

        Raises: UsageError if no turn is open, or this device may only read.
        """
        if self.turn == CLOSED:
            raise UsageError(f"{field.label} was written outside a turn: {self.hint}")
        if not self.may_write:
            raise UsageError(
                f"{field.label} was written on a device that may not write: it is a reader, or "
                "was removed, or has not got its rights yet (the list of members tells); to "
                "write, use an admin's invite for a 'writer' here"
            )
        if self.bytes_left < GROUP_BYTES_MAX:
            self.charge(field, GROUP_BYTES_MAX)  # raises
        self.bytes_left -= GROUP_BYTES_MAX
        field.enter(self.turn)
        self.entered.append(field)

    def charge(self, field: Entrant, size: int) -> None:
        """Count `size` more bytes of operations; negative ones give room back.

        Raises: UsageError if the turn would become too large; nothing is counted then.
        """
        if size > self.bytes_left:
            raise UsageError(
                f"this turn writes more than {TURN_BYTES_MAX} bytes (in {field.label}): "
                "spread the work over several messages"
            )
        self.bytes_left -= size
