"""What the class of an actor declares about its hosting: what may wait for it, how it rests.

Owns: the declarations and their checks. May not know: who keeps to them.
Source: API 'Time, failure, limits'; decision 0009.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from comity.base.errors import UsageError

__all__ = ["IDLE_MAX", "IDLE_MIN", "MailboxPolicy", "OnFull"]

IDLE_MIN: Final = 0.01
"""Seconds: below it the next message of one conversation would load the actor anew."""

IDLE_MAX: Final = 366 * 86400.0
"""Seconds: a year, after which nothing is saved by leaving memory."""

OnFull = Literal["wait", "reject"]
"""What becomes of a message to a full mailbox: its sender waits, or is refused at once."""


@dataclass(frozen=True, slots=True)
class MailboxPolicy:
    """How much may wait for one actor; None for what the host finds right.

    count: messages. size: bytes in their arguments. idle: seconds without a message after which
    the actor leaves memory until the next one; None if it stays.
    """

    count: int | None = None
    size: int | None = None
    on_full: OnFull = "wait"
    idle: float | None = None

    def changed(
        self,
        count: int | None,
        size: int | None,
        on_full: OnFull | None,
        idle: float | None,
    ) -> MailboxPolicy:
        """Return the policy with what is given in place of what was.

        Raises: UsageError for a bound below 1, an unknown word, or less than `IDLE_MIN`.
        """
        for name, bound in (("mailbox", count), ("mailbox_bytes", size)):
            if bound is not None and bound < 1:
                raise UsageError(f"{name}={bound} would take no message: give 1 or more")
        if on_full is not None and on_full not in {"wait", "reject"}:
            raise UsageError(f"on_full={on_full!r} is unknown: use 'wait' or 'reject'")
        if idle is not None and not IDLE_MIN <= idle <= IDLE_MAX:
            raise UsageError(
                f"idle_seconds={idle!r} would load the actor for every message, or never end: "
                f"give {IDLE_MIN} or more, or leave it out to keep the actor in memory"
            )
        return replace(
            self,
            count=self.count if count is None else count,
            size=self.size if size is None else size,
            on_full=self.on_full if on_full is None else on_full,
            idle=self.idle if idle is None else idle,
        )
