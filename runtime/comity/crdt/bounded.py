"""A counter that never falls below a floor: whoever takes away holds the right to.

Owns: the merge law of a bounded counter, its bytes, its Python face. May not know: which turns
had the rights for what they did (`escrow`), why a turn counts.

    turn       zigzag varint increment | for each transfer: device 32 | varint amount
    state      for each device with rights: device 32 | int; devices ascend

No transfer is of 0, devices ascend, an increment of 0 stands only before transfers. What a
turn adds and takes away is one increment, since nobody sees what is between.
The value is the floor and all rights. Adding makes rights for the device that adds, taking
away uses up its own: so no two devices need to agree, and the floor holds while none acts
twice on the same rights and nothing that gave rights is withdrawn.
Source: API 'Replicated types'; issue 'the set a demanding application needs'; decision 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import index as whole
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, SupportsIndex, overload

from comity.base.canonical import Malformed, Reader, varint, zigzag
from comity.base.errors import RightsError, UsageError
from comity.base.ids import ID_BYTES, DeviceId, short
from comity.crdt.codec import SCALARS, wrong
from comity.crdt.escrow import Deed, Escrow
from comity.crdt.tally import INCREMENT_MAX
from comity.crdt.writer import Writer

if TYPE_CHECKING:
    from comity.crdt.descriptor import FieldOptions
    from comity.crdt.freezing import Freezer, Thawer

__all__ = ["BoundedCounter", "BoundedLaw"]

_OUT: Final = -2
"""The turn of a field that has not entered one; no writer's turn is ever this."""

_INT: Final = SCALARS[int]
_TRANSFER_BYTES_MAX: Final = ID_BYTES + 10
_HOLDERS_SHOWN: Final = 5
"""Holders that an error names: enough to ask somebody, few enough to read."""


class BoundedLaw:
    """A bounded counter: what each device may still take away, and the sum of it."""

    __slots__ = (
        "_entered",
        "_gifts",
        "_increment",
        "_writer",
        "escrow",
        "floor",
        "label",
        "tag",
    )

    def __init__(
        self, label: str, tag: bytes, floor: int, writer: Writer, escrow: Escrow
    ) -> None:
        """Start at the floor: nobody has rights."""
        self.label = label
        self.tag = tag
        self.floor = floor
        self.escrow = escrow
        self._writer = writer
        self._increment = 0
        self._gifts: dict[DeviceId, int] = {}
        self._entered = _OUT

    # ------------------------------------------------------------------ reading

    def read(self) -> int:
        """Return the value."""
        return self.floor + self.escrow.total

    def own(self) -> int:
        """Return what this device may take away; below 0 if it is overdrawn."""
        return self.escrow.rights.get(self._writer.device, 0)

    def device(self) -> DeviceId:
        """Return whose rights the writes of a turn use."""
        return self._writer.device

    def holders(self) -> dict[DeviceId, int]:
        """Return who may take away how much, sorted."""
        return {each: n for each, n in sorted(self.escrow.rights.items()) if n > 0}

    # ------------------------------------------------------------------ writing

    def add(self, increment: SupportsIndex) -> None:
        """Add in the open turn; what is below 0 is taken away."""
        self._change(self._whole(increment))

    def take(self, decrement: SupportsIndex) -> None:
        """Take away in the open turn what this device has the rights to."""
        self._change(-self._whole(decrement))

    def _change(self, number: int) -> None:
        self._enter()
        if number < 0:
            self._need(-number)
        total = self._increment + number
        self._bound(total)
        self._increment = total
        self.escrow.add(self._writer.device, number)

    def transfer(self, target: bytes, amount: SupportsIndex) -> None:
        """Hand rights on in the open turn."""
        number = self._whole(amount)
        device = DeviceId(target)
        if type(device) is not bytes or len(device) != ID_BYTES:
            raise UsageError(
                f"{self.label}: {device!r} is no device: pass its id of {ID_BYTES} bytes, such "
                "as node.device"
            )
        if number < 0:
            raise UsageError(
                f"{self.label}: {number} cannot be handed on: rights are given, not taken; "
                "let the device that has them transfer them"
            )
        self._enter()
        own = self._writer.device
        if device == own:
            raise UsageError(f"{self.label}: {short(device)} is this device: name another one")
        self._need(number)
        if not number:
            return
        total = self._gifts.get(device, 0) + number
        self._bound(total)
        if device not in self._gifts:
            self._writer.charge(self, _TRANSFER_BYTES_MAX)
        self._gifts[device] = total
        self.escrow.add(own, -number)
        self.escrow.add(device, number)

    def assign(self, value: object) -> None:
        """Refuse: nobody has the rights to set it."""
        raise UsageError(
            f"{self.label} cannot be set to {value!r}: use += or -=, of which each device does "
            "what it has the rights to"
        )

    def _whole(self, number: SupportsIndex) -> int:
        try:
            return whole(number)
        except TypeError:
            error = wrong(number, "int", "a counter counts whole things: pass int(value)")
            raise UsageError(f"{self.label}: {error}") from None

    def _enter(self) -> None:
        if self._entered != self._writer.turn:
            self._writer.enter(self)

    def _bound(self, number: int) -> None:
        if not -INCREMENT_MAX <= number <= INCREMENT_MAX:
            raise UsageError(
                f"{self.label}: {number} in one turn, where {INCREMENT_MAX} either way is the "
                "most"
            )

    def _need(self, amount: int) -> None:
        own = max(self.own(), 0)
        if amount <= own:
            return
        holders = self.holders()
        device = self._writer.device
        others = [f"{short(each)} {n}" for each, n in holders.items() if each != device]
        if len(others) > _HOLDERS_SHOWN:
            others[_HOLDERS_SHOWN:] = [f"{len(others) - _HOLDERS_SHOWN} more"]
        shown = (
            f"others have {', '.join(others)}: let one of them transfer some"
            if others
            else "and nobody else has any: it is as low as it may be"
        )
        raise RightsError(
            f"{self.label}: {amount} is more than the {own} that this device may take away; "
            f"{shown}",
            wanted=amount,
            rights=own,
            holders=holders,
        )

    # ------------------------------------------------------------------ turns

    def enter(self, turn: int) -> None:
        """Join a turn."""
        self._entered = turn

    def commit(self) -> bytes:
        """Keep the turn's deed."""
        turn, self._entered = self._entered, _OUT
        increment, self._increment = self._increment, 0
        gifts = self._gifts
        if not gifts:
            if not increment:
                return b""
            self.escrow.commit(turn, self._writer.device, Deed(increment))
            return varint(zigzag(increment))
        transfers = tuple(sorted(gifts.items()))
        gifts.clear()
        self.escrow.commit(turn, self._writer.device, Deed(increment, transfers))
        parts = [varint(zigzag(increment))]
        for device, amount in transfers:
            parts += (device, varint(amount))
        return b"".join(parts)

    def rollback(self) -> None:
        """Take back the turn's deed."""
        self._entered = _OUT
        own = self._writer.device
        for device, amount in self._gifts.items():
            self.escrow.add(device, -amount)
            self.escrow.add(own, amount)
        self.escrow.add(own, -self._increment)
        self._gifts.clear()
        self._increment = 0

    def parse(self, reader: Reader) -> Deed:
        """Read one deed."""
        increment = reader.zigzag()
        if abs(increment) > INCREMENT_MAX or not (increment or reader.left):
            raise Malformed(f"an increment of {increment}")
        if not reader.left:
            return Deed(increment)
        transfers: list[tuple[DeviceId, int]] = []
        before = b""
        while reader.left:
            device = reader.take(ID_BYTES)
            amount = reader.varint()
            if device <= before:
                raise Malformed(f"the devices do not ascend at {reader.position}")
            if not 0 < amount <= INCREMENT_MAX:
                raise Malformed(f"a transfer of {amount}")
            before = device
            transfers.append((DeviceId(device), amount))
        return Deed(increment, tuple(transfers))

    def fold(self, turn: int, parsed: Deed) -> tuple[()]:
        """Do a deed; without the rights for it, it is no-op everywhere."""
        self.escrow.fold(turn, parsed)
        return ()

    def bound(self, turn: int) -> None:
        """Learn that causality knows the place of a turn of this device."""
        self.escrow.settle(turn)

    def changed(self, turn: int) -> tuple[()] | None:
        """Count a turn or no longer."""
        return () if self.escrow.changed(turn) else None

    def encode(self) -> bytes:
        """Return who has which rights."""
        return b"".join(
            [each + _INT.encode(n) for each, n in sorted(self.escrow.rights.items())]
        )

    def snapshot(self) -> int:
        """Return the value."""
        return self.read()

    def freeze(self, out: Freezer) -> None:
        """Write all deeds."""
        self.escrow.freeze(out)

    def thaw(self, data: Thawer) -> None:
        """Take what `freeze` wrote. Raises: Malformed."""
        self.escrow.thaw(data)

    def check(self, settled: int) -> None:
        """Assert that rights follow from deeds."""
        assert settled >= -1
        self.escrow.check()


class BoundedCounter:
    """A whole number that never falls below a floor: `seats: BoundedCounter = field(floor=0)`.

    `self.seats += 5` gives this device the right to take 5 away again; `self.seats -= 3` uses
    its rights up, or raises `RightsError`; `.transfer(device, 2)` hands some on. None of them
    waits for anybody. It starts at the floor, and reads like an int.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its value changes

    def __init__(self, law: BoundedLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: BoundedCounter) -> None: ...

    # ------------------------------------------------------------------ reading

    @property
    def value(self) -> int:
        """The floor, and what all devices together may take away."""
        return self._law.read()

    @property
    def floor(self) -> int:
        """What it does not fall below."""
        return self._law.floor

    @property
    def rights(self) -> int:
        """How much this device may take away now, without asking anybody."""
        return max(self._law.own(), 0)

    @property
    def device(self) -> DeviceId:
        """This device, as others name it when they transfer to it; 32 bytes."""
        return self._law.device()

    @property
    def holders(self) -> Mapping[DeviceId, int]:
        """Who may take away how much, this device among them; a copy."""
        return MappingProxyType(self._law.holders())

    @property
    def overdrawn(self) -> Mapping[DeviceId, int]:
        """Who used the same rights twice, and by how much; empty while all are honest.

        It is empty again when the device has made up for it. A copy.
        """
        return MappingProxyType(self._law.escrow.overdrafts())

    # ------------------------------------------------------------------ writing

    def increase(self, amount: int) -> None:
        """Add; the same as `+=`. This device may take it away again."""
        self._law.add(amount)

    def decrease(self, amount: int) -> None:
        """Take away; the same as `-=`. Cannot be undone.

        Raises: RightsError if this device has not the rights to so much.
        """
        self._law.take(amount)

    def transfer(self, device: bytes, amount: int) -> None:
        """Hand rights of this device on to another one; cannot be undone.

        device: 32 bytes. Rights of a device that nobody runs are lost.
        Raises: RightsError if this device has not so many.
        """
        self._law.transfer(device, amount)

    def __iadd__(self, amount: SupportsIndex) -> Self:
        self._law.add(amount)
        return self

    def __isub__(self, amount: SupportsIndex) -> Self:
        self._law.take(amount)
        return self

    # ------------------------------------------------------------------ as an int

    def __int__(self) -> int:
        return self._law.read()

    def __index__(self) -> int:
        return self._law.read()

    def __bool__(self) -> bool:
        return self._law.read() != 0

    def __add__(self, other: SupportsIndex) -> int:
        return self._law.read() + whole(other)

    __radd__ = __add__

    def __sub__(self, other: SupportsIndex) -> int:
        return self._law.read() - whole(other)

    def __rsub__(self, other: SupportsIndex) -> int:
        return whole(other) - self._law.read()

    def __eq__(self, other: object) -> bool:
        return self._law.read() == _plain(other)

    def __lt__(self, other: float | BoundedCounter) -> bool:
        return self._law.read() < _number(other)

    def __le__(self, other: float | BoundedCounter) -> bool:
        return self._law.read() <= _number(other)

    def __gt__(self, other: float | BoundedCounter) -> bool:
        return self._law.read() > _number(other)

    def __ge__(self, other: float | BoundedCounter) -> bool:
        return self._law.read() >= _number(other)

    def __str__(self) -> str:
        return str(self._law.read())

    def __format__(self, spec: str) -> str:
        return format(self._law.read(), spec)

    def __repr__(self) -> str:
        return f"BoundedCounter({self._law.read()})"


def _number(other: float | BoundedCounter) -> float:
    return other.value if isinstance(other, BoundedCounter) else other


def _plain(other: object) -> object:
    return other.value if isinstance(other, BoundedCounter) else other
