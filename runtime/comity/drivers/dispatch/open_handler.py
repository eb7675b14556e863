"""A handler between two stretches: what it waits for, and that it goes on once.

Owns: the wait of one open handler, from the await to the resume in its actor's mailbox. May
not know: cells; the host runs the stretches. What comes from a wait that is over, because the
handler was cut off meanwhile, is dropped.

    waiting --reply, time, work done, or a cycle--> resumed --next await--> waiting
    waiting --cut off--> over
Source: decision 0018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeGuard

from comity.actor.awaiting import Paused
from comity.actor.waits import Answerer, DeadlockError, refuse_cycle
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.mailbox import Mailbox, Resume, Work
from comity.drivers.dispatch.outside import Outside

__all__ = ["Hurried", "OpenHandler"]


class Hurried(BaseException):
    """Comes to an open handler instead of what it awaits: the time for stopping is up."""


class OpenHandler:
    """One handler that awaits.

    work: what it handles. reply_to: who is told how it ended.
    """

    __slots__ = ("_cancel", "_mailbox", "_pauses", "reply_to", "work")

    def __init__(self, mailbox: Mailbox, work: Work, reply_to: Future[Any] | None) -> None:
        """Belong to the actor of a mailbox."""
        self._mailbox = mailbox
        self._pauses = 0
        self._cancel: Callable[[], object] | None = None
        self.work: Final = work
        self.reply_to: Final = reply_to

    def wait(self, owner: Answerer, paused: Paused, outside: Outside) -> None:
        """Wait for what the handler awaits. For the holder."""
        self._mailbox.hold()
        self._pauses += 1
        wait = paused.wait
        if _is_reply(wait):
            owner.awaits = wait  # published before anybody looks
            try:
                refuse_cycle(owner)
            except DeadlockError as error:
                self._mailbox.post_resume(Resume(None, error))
                return
            wait.add_done_callback(self._replied(self._pauses))
        else:
            number = self._pauses

            def done(value: object, error: BaseException | None) -> None:
                if self._pauses == number:
                    self._mailbox.post_resume(Resume(value, error))

            self._cancel = outside.begin(wait, done)

    def take(self, owner: Answerer, resume: Resume) -> tuple[object, BaseException | None]:
        """Return what the await brings. For the holder."""
        owner.awaits = None
        self._cancel = None
        if resume.reply is None:
            return resume.value, resume.error
        try:
            return resume.reply.get(), None
        except BaseException as error:  # noqa: BLE001  (the handler gets it)
            return None, error

    def cut(self, owner: Answerer) -> None:
        """Wait no more. For the holder."""
        owner.awaits = None
        self._pauses = -1
        self._mailbox.free()
        if self._cancel is not None:
            self._cancel()

    def _replied(self, number: int) -> Callable[[Future[Any]], None]:
        def replied(reply: Future[Any]) -> None:
            if self._pauses == number:
                self._mailbox.post_resume(Resume(None, None, reply))

        return replied


def _is_reply(wait: object) -> TypeGuard[Future[Any]]:
    return isinstance(wait, Future)
