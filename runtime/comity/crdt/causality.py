"""What a fold may ask about turns: their order, their tie, their author.

Owns: the port `Causality`. May not know: commits, graphs, devices beyond their ids. The
actor layer implements it over the graph of the log.

A cell numbers its turns in the order in which it folds or runs them, from 0, without gaps;
the order agrees with causality, so a turn is only ever in the past of one with a larger
number. A turn of an open beat has no commit yet: it is after all that was folded, and the
types never ask about it until it is bound.
Source: PROTOCOL section 2, ARCHITECTURE 'Who owns what'.
"""

from __future__ import annotations

from typing import Protocol

from comity.base.ids import DeviceId

__all__ = ["Causality"]


class Causality(Protocol):
    """The causal order of the turns of one actor."""

    def before(self, a: int, b: int) -> bool:
        """Tell whether turn `a` is in the past of turn `b`; turns of one commit are ordered."""
        ...

    def tie(self, field_tag: bytes, turn: int) -> bytes:
        """Return 32 bytes that order concurrent writes of one field; the larger wins."""
        ...

    def parents_of(self, turn: int) -> tuple[int, ...]:
        """Return the turns that a turn was made directly on, none in the past of another.

        Of turns in one commit, each is made on the one before.
        """
        ...

    def hidden_before(self, turn: int) -> tuple[int, ...]:
        """Return the turns that are not visible in the version a turn was made on, ascending.

        All are in the past of the turn. The same object for the same turns is faster.
        """
        ...

    def withdrawn_before(self, turn: int) -> tuple[int, ...]:
        """Return those of `hidden_before` that are hidden for more than being undone.

        A bounded counter counts what was only undone. The same object as there is faster.
        """
        ...

    def author(self, turn: int) -> DeviceId:
        """Return the device that made a turn; of an unbound one, this device."""
        ...

    def role(self, turn: int) -> int:
        """Return the role under which a turn was made: 0 reader, 1 writer, 2 admin."""
        ...
