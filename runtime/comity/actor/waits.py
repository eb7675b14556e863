"""Who waits for whom: the cycle that would never end is found before it is entered.

Owns: the walk along the waits. May not know: threads, mailboxes, what is waited for.
An actor that blocks in a handler, or awaits in one, waits for one future, and that future for
one actor: each node of the graph has at most one edge out, so a cycle is found by walking.

    actor --awaits--> future --answerer--> actor --awaits--> ...

A wait is published before the walk: of two actors that close a cycle together, at least one
sees it. A future whose turn is over waits for the disk alone and has no answerer any more.
A wait with a timeout counts as any other: a cycle is a mistake whether or not it also ends.
Source: API 'Time, failure, limits' (a cycle of waiting actors does not hang).
"""

from __future__ import annotations

from typing import Final, Protocol

from comity.base.errors import UsageError

__all__ = ["WALK_MAX", "Answerer", "Awaited", "DeadlockError", "refuse_cycle"]

WALK_MAX: Final = 1000
"""Actors on a walk: above the threads of a pool, each of which holds one waiting actor. A
walk may meet a cycle that it is not part of, and whose members are about to be told."""


class DeadlockError(UsageError):
    """Waiting would never end: the text names the actors that wait for one another."""


class Awaited(Protocol):
    """Something that one actor will answer."""

    @property
    def answerer(self) -> Answerer | None:
        """The actor whose turn is still needed, or None."""
        ...


class Answerer(Protocol):
    """An actor, as the walk sees it."""

    awaits: Awaited | None
    """What its handler blocks on, or awaits, at this moment."""

    @property
    def label(self) -> str:
        """What a person calls it."""
        ...


def refuse_cycle(waiter: Answerer) -> None:
    """Raise if what `waiter` awaits can only be answered after `waiter` itself goes on.

    Raises: DeadlockError that names the actors on the cycle in the order of their waits.
    """
    met = [waiter]
    current = waiter
    for _ in range(WALK_MAX):
        awaited = current.awaits
        answerer = None if awaited is None else awaited.answerer
        if answerer is None:
            return
        current = answerer
        met.append(current)
        if current is waiter:
            names = " waits for ".join(each.label for each in met)
            raise DeadlockError(
                f"{names}: none of them could ever go on; use tell, or "
                "have the reply come as a message of its own"
            )
