"""What goes wrong between whoever asks and the actor that is asked.

Owns: the exceptions of this package. Where pykka has an exception for the same thing, ours
is both: code written for pykka catches it, and so does code that knows the four kinds.
May not know: who raises them.

    ActorStopped    WorldError, pykka.ActorDeadError    nobody is there to take the message
    MailboxFull     WorldError                          too much is waiting there already
    ReplyTimeout    DeadlineError, pykka.Timeout        no reply yet; the effect is not known
`DeadlockError`, a UsageError, is `comity.actor.waits`'s: the fault lab raises it too.
Source: STYLE 'Errors', API 'Time, failure, limits'.
"""

from __future__ import annotations

import pykka

from comity.base.errors import DeadlineError, WorldError

__all__ = ["ActorStopped", "MailboxFull", "ReplyTimeout"]


class ActorStopped(WorldError, pykka.ActorDeadError):
    """The actor is not hosted here, or stopped before it could answer.

    retry: whether the message had no effect, so that sending it again once the actor is
    active cannot do twice what was meant once. Otherwise its effect is not known.
    """


class MailboxFull(WorldError):
    """The actor's mailbox holds as many messages as it may; this one was not taken.

    Always worth a retry: nothing is wrong with the message, and the actor works through
    what it has. An actor that gets this from another should slow down or drop, not wait.
    """

    def __init__(self, message: str) -> None:
        """A later attempt may find room."""
        super().__init__(message, retry=True)


class ReplyTimeout(DeadlineError, pykka.Timeout):
    """`get` waited as long as it was told to; the reply may still come."""
