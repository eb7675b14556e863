"""What the class of an actor declares about its hosting: how much may wait for it.

Owns: the declarations and their checks. May not know: who keeps to them.
Source: API 'Time, failure, limits'; decision 0009.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from comity.base.errors import UsageError

__all__ = ["MailboxPolicy", "OnFull"]

OnFull = Literal["wait", "reject"]
"""What becomes of a message to a full mailbox: its sender waits, or is refused at once."""


@dataclass(frozen=True, slots=True)
class MailboxPolicy:
    """How much may wait for one actor; None for what the host finds right.

    count: messages. size: bytes in their arguments.
    """

    count: int | None = None
    size: int | None = None
    on_full: OnFull = "wait"

    def changed(
        self, count: int | None, size: int | None, on_full: OnFull | None
    ) -> MailboxPolicy:
        """Return the policy with what is given in place of what was.

        Raises: UsageError for a bound below 1 or an unknown word.
        """
        for name, bound in (("mailbox", count), ("mailbox_bytes", size)):
            if bound is not None and bound < 1:
                raise UsageError(f"{name}={bound} would take no message: give 1 or more")
        if on_full is not None and on_full not in {"wait", "reject"}:
            raise UsageError(f"on_full={on_full!r} is unknown: use 'wait' or 'reject'")
        return replace(
            self,
            count=self.count if count is None else count,
            size=self.size if size is None else size,
            on_full=self.on_full if on_full is None else on_full,
        )
